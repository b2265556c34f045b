#include "bench/eval/examples.h"

namespace mica {
namespace {

constexpr WorkedExample kExamples[] = {
    {"A ferry carries 24 cars on each trip. It makes 6 trips a day, and on Sundays half as many. "
     "How many cars can it carry in a week?",
     "On a working day the ferry carries 24 * 6 = 144 cars.\n"
     "On a Sunday it makes 6 / 2 = 3 trips and carries 24 * 3 = 72 cars.\n"
     "Six working days and a Sunday are 144 * 6 + 72 = 936 cars.\n"
     "#### 936"},
    {"Ilse knits scarves. A scarf takes 3 balls of wool at $4 each, and she sells it for $30. How "
     "many dollars does she earn with 15 scarves?",
     "The wool for one scarf costs 3 * 4 = 12 dollars.\n"
     "One scarf earns 30 - 12 = 18 dollars.\n"
     "15 scarves earn 15 * 18 = 270 dollars.\n"
     "#### 270"},
    {"A water tank holds 1,200 litres and is 25% full. A pump fills in 60 litres a minute while a "
     "leak loses 15. After how many minutes is the tank full?",
     "There are 1200 * 25 / 100 = 300 litres in the tank, so 1200 - 300 = 900 are missing.\n"
     "Each minute 60 - 15 = 45 litres are gained.\n"
     "The tank is full after 900 / 45 = 20 minutes.\n"
     "#### 20"},
};

}  // namespace

std::span<const WorkedExample> worked_examples() {
  return kExamples;
}

}  // namespace mica
