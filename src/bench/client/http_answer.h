// Reads one HTTP/1.1 response from bytes that come in any portions, without a socket.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace mica {

class HttpAnswer {
 public:
  // on_body: pieces of the body, without their framing, as they come.
  explicit HttpAnswer(std::function<void(std::string_view)> on_body);

  void feed(std::string_view bytes);
  // No byte will follow. A body without a length is complete then.
  void end();

  bool has_head() const { return parser_->is_header_done() && status() >= 200; }
  bool done() const { return done_; }                  // the whole response was read
  bool until_close() const;                            // its body ends with the connection
  bool reusable() const;                               // done, and the connection may serve another
  const std::string& fault() const { return fault_; }  // why it is no HTTP; empty = it is

  int status() const { return parser_->status; }
  const std::string& content_type() const { return parser_->content_type; }

 private:
  struct Parser : boost::beast::http::basic_parser<false> {
    using Code = boost::beast::error_code;
    using Text = boost::beast::string_view;
    explicit Parser(const std::function<void(std::string_view)>& to);
    void on_request_impl(boost::beast::http::verb, Text, Text, int, Code&) override {}
    void on_response_impl(int code, Text, int, Code&) override { status = code; }
    void on_field_impl(boost::beast::http::field field, Text, Text value, Code&) override;
    void on_header_impl(Code&) override {}
    void on_body_init_impl(const boost::optional<uint64_t>&, Code&) override {}
    size_t on_body_impl(Text body, Code&) override { return give(body); }
    void on_chunk_header_impl(uint64_t, Text, Code&) override {}
    size_t on_chunk_body_impl(uint64_t, Text body, Code&) override { return give(body); }
    void on_finish_impl(Code&) override {}
    size_t give(Text body);
    const std::function<void(std::string_view)>& on_body;
    int status = 0;
    std::string content_type;
  };
  void step(std::string_view& bytes, bool& more);

  const std::function<void(std::string_view)> on_body_;
  std::optional<Parser> parser_;
  std::string rest_;  // read and not parsed: a piece of a head or of a chunk's frame
  std::string fault_;
  bool begun_ = false;  // the parser has taken bytes of this head
  bool done_ = false, excess_ = false;
};

}  // namespace mica
