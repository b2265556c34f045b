#include "server/web_files.h"

#include <algorithm>

#include "base/error.h"

namespace mica {
namespace {

// Nothing but the page's own files runs or loads, no text becomes markup (Trusted Types), and no
// other page may frame it: an answer of the model can't reach out, whatever it says.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view mime_type(std::string_view path) {
  if (path == "/" || path.ends_with(".html")) return "text/html; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  MICA_CHECK(false);
  return "";
}

// RFC 9110, 13.1.2: a list of tags, compared weakly, or "*".
bool has_tag(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view tag = list.substr(0, comma);
    while (!tag.empty() && (tag.front() == ' ' || tag.front() == '\t')) tag.remove_prefix(1);
    while (!tag.empty() && (tag.back() == ' ' || tag.back() == '\t')) tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag || tag == "*") return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

const WebFile* find_web_file(std::string_view path) {
  const auto files = web_files();
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const WebFile& f) { return f.path == path; });
  return found == files.end() ? nullptr : &*found;
}

HttpResponse web_response(const WebFile& file, std::string_view if_none_match) {
  HttpResponse response;
  response.content_type = mime_type(file.path);
  response.headers = {
      {"ETag", std::string(file.etag)},
      {"Cache-Control", "no-cache"},  // kept, but asked for: a new program brings new files
      {"Content-Security-Policy", kContentSecurityPolicy},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
  };
  if (has_tag(if_none_match, file.etag)) {
    response.status = 304;
    response.content_type.clear();
  } else {
    response.body = file.content;
  }
  return response;
}

}  // namespace mica
