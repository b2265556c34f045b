// The parts of the page, which the build puts into the program: page/, and Chart.js of the
// distribution (package libjs-chart.js, MIT licence).
#pragma once

#include <string_view>

namespace mica {

extern const std::string_view kPageHtml, kPageStyle, kPageScript, kChartScript;

}  // namespace mica
