#include "bench/client/http_answer.h"

#include <boost/asio/buffer.hpp>
#include <limits>

namespace mica {
namespace http = boost::beast::http;

namespace {

constexpr uint32_t kHeaderBytes = 64 << 10;

}  // namespace

HttpAnswer::Parser::Parser(const std::function<void(std::string_view)>& to) : on_body(to) {
  eager(true);
  header_limit(kHeaderBytes);
  body_limit(std::numeric_limits<uint64_t>::max());  // the reader of the answer has one
}

void HttpAnswer::Parser::on_field_impl(http::field field, Text, Text value, Code&) {
  if (field == http::field::content_type) content_type.assign(value.data(), value.size());
}

size_t HttpAnswer::Parser::give(Text body) {
  if (!body.empty()) on_body({body.data(), body.size()});
  return body.size();
}

HttpAnswer::HttpAnswer(std::function<void(std::string_view)> on_body)
    : on_body_(std::move(on_body)) {
  parser_.emplace(on_body_);
}

void HttpAnswer::step(std::string_view& bytes, bool& more) {
  // The parser looks at a head when it is whole, which that of another protocol never is.
  constexpr std::string_view kBegin = "HTTP/";
  if (!begun_ && bytes.substr(0, kBegin.size()) != kBegin.substr(0, bytes.size())) {
    fault_ = "expected 'HTTP/'";
    return;
  }
  boost::beast::error_code error;
  const size_t taken = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  bytes.remove_prefix(taken);
  more = taken > 0;
  begun_ |= more;  // the parser may take the first line alone
  if (error == http::error::need_more) {
    more = false;
  } else if (error) {
    fault_ = error.message();
  } else if (parser_->is_done() && status() < 200) {
    parser_.emplace(on_body_);  // 100 Continue and the like precede the response
    begun_ = false;
  } else {
    done_ = parser_->is_done();
  }
}

void HttpAnswer::feed(std::string_view bytes) {
  std::string joined;
  if (!rest_.empty()) {
    joined.swap(rest_);
    joined += bytes;
    bytes = joined;
  }
  for (bool more = true; more && !bytes.empty() && !done_ && fault_.empty();) step(bytes, more);
  if (done_) {
    excess_ |= !bytes.empty();
  } else {
    rest_ = bytes;
  }
}

void HttpAnswer::end() {
  if (done_ || !fault_.empty() || !until_close()) return;
  boost::beast::error_code error;
  parser_->put_eof(error);
  done_ = !error;
}

bool HttpAnswer::until_close() const {
  return has_head() && parser_->need_eof();
}

bool HttpAnswer::reusable() const {
  return done_ && !excess_ && parser_->keep_alive();
}

}  // namespace mica
