// One log line for each request, without a word of what was asked or answered.
#pragma once

#include "server/http.h"

namespace mica {

struct AccessLine {
  std::string text;    // for people
  std::string fields;  // for log_line: members of a JSON object
};
AccessLine access_line(const RequestRecord& record);

}  // namespace mica
