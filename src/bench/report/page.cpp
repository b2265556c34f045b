#include "bench/report/page_files.h"
#include "bench/report/report.h"

namespace mica {
namespace {

// JSON in a script element: "<" would let a text end it.
std::string inert(const std::string& json) {
  std::string out;
  for (const char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

// page.html has a line for each part: "<!--style-->", "<!--chart-->", "<!--data-->",
// "<!--script-->".
std::string report_page(const std::string& data) {
  std::string page(kPageHtml);
  const auto put = [&](std::string_view place, const std::string& text) {
    const size_t at = page.find(place);
    if (at != std::string::npos) page.replace(at, place.size(), text);
  };
  // The data last: what it holds is not looked at again.
  put("<!--style-->", "<style>\n" + std::string(kPageStyle) + "</style>");
  put("<!--chart-->", "<script>" + std::string(kChartScript) + "</script>");
  put("<!--script-->", "<script>\n" + std::string(kPageScript) + "</script>");
  put("<!--data-->", "<script type=\"application/json\" id=\"data\">" + inert(data) + "</script>");
  return page;
}

}  // namespace mica
