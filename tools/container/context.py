"""The build context: a folder less what its .dockerignore leaves out (moby's patternmatcher)."""
import os
import re
import shutil


def to_regex(pattern):
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + "(?:.*/)?", i + 3
        elif pattern.startswith("**", i):
            out, i = out + ".*", i + 2
        elif pattern[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif pattern[i] == "?":
            out, i = out + "[^/]", i + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return re.compile(out)


class Ignore:
    def __init__(self, text):
        self.rules = []  # (regex, pattern, included again)
        for line in text.splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            again = line.startswith("!")
            pattern = os.path.normpath(line.lstrip("!").strip()).lstrip("/")
            self.rules.append((to_regex(pattern), pattern, again))

    def excludes(self, path):
        """The last rule that matches the path or a folder above it decides."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        excluded = False
        for regex, _, again in self.rules:
            if any(regex.fullmatch(one) for one in above):
                excluded = not again
        return excluded

    def may_include_below(self, folder):
        return not self.excludes(folder) or any(
            again and (pattern.startswith(folder + "/") or "*" in pattern) for _, pattern, again in self.rules)


def files(folder):
    """Paths relative to `folder` that a builder would get."""
    name = os.path.join(folder, ".dockerignore")
    text = ""
    if os.path.exists(name):
        with open(name) as file:
            text = file.read()
    ignore = Ignore(text)
    for base, folders, names in os.walk(folder):
        relative = os.path.relpath(base, folder)
        join = (lambda entry: entry) if relative == "." else (lambda entry: f"{relative}/{entry}")
        links = [entry for entry in folders if os.path.islink(os.path.join(base, entry))]
        folders[:] = sorted(entry for entry in folders
                            if entry not in links and ignore.may_include_below(join(entry)))
        for entry in sorted(names + links):
            if not ignore.excludes(join(entry)):
                yield join(entry)


def stage(folder, target):
    """Copies the context to `target`, owned by root as a builder's; returns the number of files."""
    count = 0
    for path in files(folder):
        to = os.path.join(target, path)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy2(os.path.join(folder, path), to, follow_symlinks=False)
        os.chown(to, 0, 0, follow_symlinks=False)
        count += 1
    return count
