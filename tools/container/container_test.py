#!/usr/bin/env python3
"""python3 tools/container/container_test.py: the parts that need neither root nor network."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from container import build, context, dockerfile, root  # noqa: E402


def instructions(text):
    return dockerfile.parse("FROM a\n" + text)[0][0].instructions


class Parse(unittest.TestCase):
    def test_stages_and_arguments(self):
        stages, args = dockerfile.parse(
            "# comment\nARG V=1\nARG W=$V.2\nFROM base:$W AS One\nRUN a \\\n  # within\n  && b\nFROM one\n")
        self.assertEqual([(s.base, s.name) for s in stages], [("base:1.2", "one"), ("one", "")])
        self.assertEqual(args, {"V": "1", "W": "1.2"})
        self.assertEqual(stages[0].instructions[0].command(), ["/bin/sh", "-c", "a   && b"])

    def test_build_argument_wins(self):
        stages, _ = dockerfile.parse("ARG V=1\nFROM base:$V\n", {"V": "9"})
        self.assertEqual(stages[0].base, "base:9")

    def test_words(self):
        variables = {"A": "x y", "E": ""}
        for text, words in [("a  b", ["a", "b"]), ('"$A" $A', ["x y", "x y"]), ("'$A'", ["$A"]),
                            ("${E:-d}${A:+p} \\$A", ["dp", "$A"]), ('""', [""]), ("a;b", ["a;b"])]:
            self.assertEqual(dockerfile.expand(1, text, variables), words, text)

    def test_healthcheck(self):
        check = dockerfile.healthcheck(instructions('HEALTHCHECK --interval=1m30s --retries=2 CMD ["a", "b"]')[0])
        self.assertEqual((check["interval"], check["retries"], check["command"]), (90, 2, ["a", "b"]))
        self.assertEqual(check["timeout"], 30)

    def test_what_is_unknown_is_an_error(self):
        for text in ["ADD a b", "LABEL a=b", "SHELL [\"a\"]", "RUN --mount=type=cache,target=/x a", "RUN <<EOF",
                     "COPY --link a b", "COPY --from=nowhere a b", "CMD [\"a\"", "CMD []", "RUN", "ENV A",
                     "HEALTHCHECK a", "HEALTHCHECK --timeout=5 CMD a", "RUN a \\"]:
            with self.assertRaises(dockerfile.DockerfileError, msg=text):
                for instruction in instructions(text):
                    if instruction.name == "ENV":
                        dockerfile.assignments(instruction, {})
        with self.assertRaisesRegex(dockerfile.DockerfileError, "line 3: unknown instruction ADD"):
            dockerfile.parse("FROM a\n\nADD b c\n")
        with self.assertRaises(dockerfile.DockerfileError):
            dockerfile.parse("RUN a\n")


class Ignore(unittest.TestCase):
    def test_last_rule_wins(self):
        ignore = context.Ignore("*\n!src\n!models/demo\nsrc/*.o\n**/cache\n")
        for path, excluded in [("README.md", True), ("src/a.cpp", False), ("src/deep/a.cpp", False),
                               ("src/a.o", True), ("src/deep/a.o", False), ("models/other/w", True),
                               ("models/demo/w", False), ("src/x/cache/y", True)]:
            self.assertEqual(ignore.excludes(path), excluded, path)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in ["a/keep", "a/drop", "b/c/keep", ".dockerignore"]:
                os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
                with open(os.path.join(folder, path), "w") as file:
                    file.write("*\n!**/keep\n" if path == ".dockerignore" else "")
            self.assertEqual(sorted(context.files(folder)), ["a/keep", "b/c/keep"])


class Root(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = os.path.join(self.folder.name, "root")
        os.makedirs(os.path.join(self.root, "etc"))
        with open(os.path.join(self.root, "etc/passwd"), "w") as file:
            file.write("root:x:0:0::/root:/bin/sh\nmica:x:10001:10002::/home/mica:/bin/sh\n")
        with open(os.path.join(self.root, "etc/group"), "w") as file:
            file.write("video:x:44:\n")

    def tearDown(self):
        self.folder.cleanup()

    def test_links_stay_inside(self):
        os.symlink("/etc", os.path.join(self.root, "absolute"))
        os.symlink("../../../..", os.path.join(self.root, "up"))
        self.assertEqual(root.resolve(self.root, "/absolute/passwd"), os.path.join(self.root, "etc/passwd"))
        self.assertEqual(root.resolve(self.root, "/up/etc/new"), os.path.join(self.root, "etc/new"))

    def test_users(self):
        self.assertEqual(root.ids(self.root, "mica"), (10001, 10002, "/home/mica"))
        self.assertEqual(root.ids(self.root, "mica:video")[1], 44)
        self.assertEqual(root.ids(self.root, "77:88")[:2], (77, 88))
        for user in ["nobody", "mica:nogroup"]:
            with self.assertRaises(RuntimeError):
                root.ids(self.root, user)

    def copy(self, text):
        builder = build.Builder(self.folder.name, [], [], {})
        builder.context = os.path.join(self.folder.name, "context")
        os.makedirs(os.path.join(builder.context, "folder"), exist_ok=True)
        for name in ["one", "two", "folder/three"]:
            with open(os.path.join(builder.context, name), "w") as file:
                file.write(name)
        image = build.Image(self.root, {}, [])
        builder.execute(image, instructions(text)[0], {}, {})
        found = []
        for base, _, names in os.walk(self.root):
            found += [os.path.relpath(os.path.join(base, name), self.root) for name in names]
        return sorted(name for name in found if not name.startswith("etc/"))

    @unittest.skipIf(os.geteuid() != 0, "changes owners")
    def test_copy(self):
        self.assertEqual(self.copy("COPY one /a"), ["a"])
        self.assertEqual(self.copy("COPY one two /b/"), ["a", "b/one", "b/two"])
        self.assertEqual(self.copy("COPY folder /c"), ["a", "b/one", "b/two", "c/three"])
        self.copy("COPY --chown=mica --chmod=750 t* /d/")
        status = os.stat(os.path.join(self.root, "d/two"))
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o777), (10001, 10002, 0o750))
        for text in ["COPY none /x", "COPY one two /x", "COPY ../one /x"]:
            with self.assertRaisesRegex(RuntimeError, "line 2: COPY"):
                self.copy(text)


if __name__ == "__main__":
    unittest.main()
