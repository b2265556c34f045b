// What is kept of an engine's output, and that nothing holds the engine up.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "bench/launch/engine_process.h"
#include "bench/launch/testing/launch_fixture.h"

namespace mica {
namespace {

using std::chrono::milliseconds;

Words cut(const Words& pieces, size_t line_bytes = 100) {
  Words lines;
  LineCutter cutter(line_bytes);
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  for (const std::string& piece : pieces) cutter.feed(piece, keep);
  cutter.finish(keep);
  return lines;
}

TEST(LineCutter, LinesInWhateverPieces) {
  EXPECT_EQ(cut({"a\nb", "c\n\nd"}), (Words{"a", "bc", "", "d"}));
  EXPECT_EQ(cut({""}), Words{});
  EXPECT_EQ(cut({"a\r\nb\r\n"}), (Words{"a", "b"}));
}

TEST(LineCutter, AProgressBarIsItsLastState) {
  EXPECT_EQ(cut({"load  10%\rload  50%", "\rload 100%\n", "done\n"}), (Words{"load 100%", "done"}));
  EXPECT_EQ(cut({"load 10%\r"}), (Words{"load 10%"}));
}

TEST(LineCutter, ColoursControlsAndBadBytes) {
  EXPECT_EQ(cut({"\x1b[1;31mred\x1b[0m\tx\a\n"}), (Words{"red x"}));
  EXPECT_EQ(cut({"\x1b]0;title\aText\n"}), (Words{"Text"}));
  EXPECT_EQ(cut({"\xff\xc3\xa9\n"}), (Words{"\xef\xbf\xbd\xc3\xa9"}));
  EXPECT_EQ(cut({"end\x1b"}), (Words{"end"}));
  EXPECT_EQ(cut({"end\x1b["}), (Words{"end"}));
}

TEST(LineCutter, LongLinesAreCut) {
  EXPECT_EQ(cut({std::string(1000, 'x'), "y\nz\n"}, 10), (Words{std::string(10, 'x'), "z"}));
}

// Writes through a pipe of its own and waits for the end.
void pump_all(LogPump& pump, const std::string& text) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pump.start(ends[0]);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t done = ::write(ends[1], rest.data(), rest.size());
    ASSERT_GT(done, 0);
    rest.remove_prefix(static_cast<size_t>(done));
  }
  ::close(ends[1]);
  ASSERT_TRUE(pump.wait_end(milliseconds(60000)));
  pump.stop();
}

std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("{:07}\n", i);  // 8 bytes each
  return text;
}

TEST(LogPump, KeepsTheFileAndTheLastLines) {
  const TempFolder folder;
  const auto file = folder.path() / "log";
  {
    LogPump pump({.file = file, .ring_lines = 3});
    pump_all(pump, numbered_lines(1000));
    EXPECT_EQ(pump.tail(10), (Words{"0000997", "0000998", "0000999"}));
    EXPECT_EQ(pump.tail(1), (Words{"0000999"}));
    EXPECT_EQ(pump.bytes(), 8000u);
    EXPECT_LT(pump.silence(), 60);
  }
  EXPECT_EQ(text_of(file), numbered_lines(1000));
}

TEST(LogPump, OfALargeLogStartAndEndAreKept) {
  const TempFolder folder;
  const auto file = folder.path() / "log";
  {
    LogPump pump({.file = file, .part_bytes = 800});
    pump_all(pump, numbered_lines(1000));
    EXPECT_EQ(pump.dropped(), 0u);
  }
  const std::string all = numbered_lines(1000);
  EXPECT_EQ(text_of(file), all.substr(0, 800));
  EXPECT_EQ(text_of(file.string() + ".tail.1"), all.substr(6400, 800));
  EXPECT_EQ(text_of(file.string() + ".tail"), all.substr(7200, 800));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3);
}

TEST(LogPump, ADiskThatIsFullDoesNotStopTheReader) {
  LogPump pump({.file = "/dev/full"});
  pump_all(pump, numbered_lines(100000));
  EXPECT_EQ(pump.last_line(), "0099999");
  EXPECT_EQ(pump.bytes(), 800000u);
}

TEST(LogPump, ADiskThatHangsDoesNotStopTheEngine) {
  // A pipe that nobody reads takes 64 KiB and then no more.
  const TempFolder folder;
  const std::string file = (folder.path() / "fifo").string();
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  const int reader = ::open(file.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  {
    LogPump pump({.file = file});
    pump_all(pump, numbered_lines(4 << 20));  // 32 MiB
    EXPECT_EQ(pump.last_line(), fmt::format("{:07}", (4 << 20) - 1));
    EXPECT_GT(pump.dropped(), 8u << 20);
    ::signal(SIGPIPE, SIG_IGN);
    ::close(reader);  // lets the writer go, with an error
  }
}

TEST(LogPump, AFloodOfMegabytesFromAProcess) {
  const TempFolder folder;
  const auto file = folder.path() / "log";
  LogPump pump({.file = file, .part_bytes = 1 << 20});
  EngineProcess process(
      {.argv = {"/bin/sh", "-c",
                "yes 0123456789012345678901234567890123456789 | head -c 41943040"}},
      pump);
  ASSERT_TRUE(process.wait(milliseconds(120000)));
  ASSERT_TRUE(pump.wait_end(milliseconds(60000)));
  EXPECT_EQ(pump.bytes(), 41943040u);
  process.stop({});
}

TEST(LogPump, StopsThoughSomebodyHoldsThePipe) {
  LogPump pump({});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pump.start(ends[0]);
  ASSERT_EQ(::write(ends[1], "last words", 10), 10);
  pump.stop();
  EXPECT_EQ(pump.last_line(), "last words");
  ::close(ends[1]);
}

TEST(LogPump, AFolderThatIsNotThereIsAnError) {
  EXPECT_THROW(LogPump({.file = "/no/such/folder/log"}), Error);
}

}  // namespace
}  // namespace mica
