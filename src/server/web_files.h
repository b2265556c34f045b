// The web page: the files of web/, which the build puts into the program (docs/web.md).
#pragma once

#include <span>
#include <string_view>

#include "server/http.h"

namespace mica {

struct WebFile {
  std::string_view path;  // as asked for: "/" for index.html, "/web/chat.js"
  std::string_view etag;  // with its quotes; made from the content
  std::string_view content;
};

std::span<const WebFile> web_files();  // web_files_data.cpp.in
const WebFile* find_web_file(std::string_view path);

// 200 with the file, or 304 when `if_none_match` (the header's value, or "") has its tag.
HttpResponse web_response(const WebFile& file, std::string_view if_none_match);

}  // namespace mica
