#include "checkpoint/hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <exception>

#include "base/error.h"
#include "checkpoint/hub/names.h"

namespace mica::hub {
namespace {

constexpr size_t kMaxHeaderBytes = 256 << 10;
constexpr int kMaxRedirects = 10;
constexpr size_t kMaxErrorBody = 64 << 10;

bool curl_is_ready() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return std::string(text);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_transient(int status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

// Failures of curl that the next try may not meet: the network's, not the request's.
bool is_transient(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY: return true;
    default: return false;
  }
}

struct UrlHandle {
  CURLU* handle = curl_url();
  ~UrlHandle() { curl_url_cleanup(handle); }
};

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string out = text;
  curl_free(text);
  return out;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<uint64_t> HttpResponse::number(const std::string& name) const {
  const std::string text = header(name);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // A size must also fit off_t.
  if (error != std::errc() || end != text.data() + text.size() || text.empty() ||
      value > static_cast<uint64_t>(INT64_MAX))
    return std::nullopt;
  return value;
}

// What the callbacks of one transfer share.
struct HttpClient::Exchange {
  const HttpRequest& request;
  HttpResponse& response;
  size_t header_bytes = 0;
  bool headers_told = false;
  std::string refusal;           // why a callback stopped the transfer
  std::exception_ptr exception;  // what a callback of the request threw

  bool add_header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) {
      refusal = fmt::format("the server sent more than {} KiB of headers", kMaxHeaderBytes >> 10);
      return false;
    }
    if (line.starts_with("HTTP/")) {  // also after "100 Continue"
      const size_t blank = line.find(' ');
      response.status = 0;
      if (blank != line.npos && blank + 4 <= line.size())
        std::from_chars(line.data() + blank + 1, line.data() + blank + 4, response.status);
      response.headers.clear();
      return true;
    }
    const size_t colon = line.find(':');
    if (colon != line.npos)
      response.headers[lower(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
    return true;
  }

  bool add_body(const char* data, size_t size) {
    const bool wanted = response.status >= 200 && response.status < 300;
    if (wanted && request.sink) {
      if (!std::exchange(headers_told, true) && request.on_headers) request.on_headers(response);
      request.sink(data, size);
      return true;
    }
    if (!wanted) {  // an error page: its beginning will do
      const size_t room = kMaxErrorBody - std::min(kMaxErrorBody, response.body.size());
      response.body.append(data, std::min(size, room));
      return room > 0;
    }
    if (response.body.size() + size > request.max_body) {
      refusal = fmt::format("the server sent more than {} MiB where a short answer was expected",
                            request.max_body >> 20);
      return false;
    }
    response.body.append(data, size);
    return true;
  }

  static size_t on_header(char* data, size_t, size_t size, void* self) {
    auto* exchange = static_cast<Exchange*>(self);
    return exchange->guarded([&] { return exchange->add_header({data, size}); }) ? size : 0;
  }
  static size_t on_body(char* data, size_t, size_t size, void* self) {
    auto* exchange = static_cast<Exchange*>(self);
    return exchange->guarded([&] { return exchange->add_body(data, size); }) ? size : 0;
  }
  // Exceptions must not cross libcurl's C frames.
  template <typename F>
  bool guarded(F body) {
    try {
      return body();
    } catch (...) {
      exception = std::current_exception();
      return false;
    }
  }
};

HttpClient::HttpClient(const HubOptions& options)
    : options_(options), origin_(origin_of(options.endpoint)) {
  curl_ = curl_is_ready() ? curl_easy_init() : nullptr;
  if (!curl_) throw Error(ErrorKind::kInternal, "[hub] libcurl can't be started");
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(static_cast<CURL*>(curl_));
  curl_slist_free_all(static_cast<curl_slist*>(header_list_));
}

void HttpClient::set_headers(const HttpRequest& request, const std::string& url) {
  auto* list = static_cast<curl_slist*>(std::exchange(header_list_, nullptr));
  curl_slist_free_all(list);
  list = nullptr;
  const auto add = [&](const std::string& line) { list = curl_slist_append(list, line.c_str()); };
  if (!options_.token.empty() && origin_of(url) == origin_)
    add("Authorization: Bearer " + options_.token);
  if (request.from > 0) add(fmt::format("Range: bytes={}-", request.from));
  add("Accept-Encoding: identity");  // sizes and ranges are of the file itself
  header_list_ = list;
  curl_easy_setopt(static_cast<CURL*>(curl_), CURLOPT_HTTPHEADER, list);
}

void HttpClient::perform(const HttpRequest& request, const std::string& url,
                         HttpResponse& response) {
  CURL* curl = static_cast<CURL*>(curl_);
  response = HttpResponse{};
  response.url = url;
  Exchange exchange{request, response};
  char text[CURL_ERROR_SIZE] = "";
  curl_easy_reset(curl);  // keeps the connections
  set_headers(request, url);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "mica/0.1");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Exchange::on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
  const HubPatience& patience = options_.patience;
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::lround(patience.connect_seconds * 1000));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 256L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(patience.stall_seconds)));
  if (!request.sink)  // a short answer: also bounded as a whole
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, std::lround(patience.stall_seconds * 4000));
  if (!options_.certificates.empty())
    curl_easy_setopt(curl, CURLOPT_CAINFO, options_.certificates.c_str());

  const CURLcode code = curl_easy_perform(curl);
  if (exchange.exception) std::rethrow_exception(exchange.exception);
  const bool cut_error_page = code == CURLE_WRITE_ERROR && exchange.refusal.empty();
  if (!exchange.refusal.empty()) {
    response.failure = exchange.refusal;
  } else if (code != CURLE_OK && !cut_error_page) {
    response.failure = text[0] ? text : curl_easy_strerror(code);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
      response.failure += fmt::format(
          "; trusted authorities are {} (CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE or SSL_CERT_FILE "
          "names another file)",
          options_.certificates.empty() ? "the system's" : "those in " + options_.certificates);
    response.transient = is_transient(code);
  } else {
    response.transient = is_transient(response.status);
    response.retry_after = std::min<double>(60, response.number("retry-after").value_or(0));
    // An empty body has no bytes to tell the headers by.
    if (response.ok() && request.sink && !exchange.headers_told && request.on_headers)
      request.on_headers(response);
  }
}

HttpResponse HttpClient::send(const HttpRequest& request) {
  std::string url = request.url;
  HttpResponse response;
  std::map<std::string, std::string> linked;  // what the endpoint said about the file on the way
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    perform(request, url, response);
    if (origin_of(url) == origin_)
      for (const char* name : {"x-linked-etag", "x-linked-size"})
        if (!response.header(name).empty()) linked[name] = response.header(name);
    for (const auto& entry : linked) response.headers.insert(entry);
    const std::string location = response.header("location");
    if (!response.failure.empty() || !is_redirect(response.status) || location.empty())
      return response;
    const std::string next = join_url(url, location);
    const std::string from = origin_of(url), to = origin_of(next);
    if (request.stay_at_origin && from != to) return response;
    if (from.starts_with("https:") && !to.starts_with("https:"))
      throw Error(ErrorKind::kNetwork,
                  "[hub] {}: redirects from https to {}, which anybody could answer; is a proxy "
                  "in between?",
                  printable(url), printable(to));
    url = next;
  }
  throw Error(ErrorKind::kNetwork, "[hub] {}: redirects more than {} times", printable(request.url),
              kMaxRedirects);
}

std::string origin_of(const std::string& url) {
  UrlHandle parsed;
  const bool valid = curl_url_set(parsed.handle, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  const std::string scheme = valid ? lower(url_part(parsed.handle, CURLUPART_SCHEME, 0)) : "";
  if (scheme != "http" && scheme != "https")
    throw Error(ErrorKind::kNetwork, "[hub] '{}': expected an http:// or https:// address",
                printable(url));
  return fmt::format("{}://{}:{}", scheme, lower(url_part(parsed.handle, CURLUPART_HOST, 0)),
                     url_part(parsed.handle, CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string join_url(const std::string& base, const std::string& location) {
  UrlHandle parsed;
  // The first makes an absolute address, against which curl resolves the second.
  if (curl_url_set(parsed.handle, CURLUPART_URL, base.c_str(), 0) == CURLUE_OK &&
      curl_url_set(parsed.handle, CURLUPART_URL, location.c_str(), 0) == CURLUE_OK)
    return url_part(parsed.handle, CURLUPART_URL, 0);
  throw Error(ErrorKind::kNetwork, "[hub] {}: redirects to '{}', which is no http address",
              printable(base), printable(location));
}

std::string url_encode(std::string_view text, bool keep_slash) {
  std::string out;
  for (char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) ||
                       std::string_view("-_.~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && keep_slash))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string describe(const HttpResponse& response) {
  if (!response.failure.empty()) return printable(response.failure);
  std::string text = fmt::format("HTTP {}", response.status);
  const std::string message = response.header("x-error-message");
  if (!message.empty()) text += fmt::format(" ({})", printable(message));
  return text;
}

double pause_before_retry(const HubPatience& patience, int failures, const HttpResponse& response) {
  const double pause = std::ldexp(patience.first_pause, std::min(failures - 1, 10));
  return std::max(std::min(pause, 30.0), response.retry_after);
}

HttpResponse send_patiently(HttpClient& client, const HttpRequest& request,
                            const HubPatience& patience,
                            const std::function<void(const std::string&, double)>& on_retry) {
  for (int failures = 1;; ++failures) {
    HttpResponse response = client.send(request);
    if (!response.transient) return response;
    const bool unreachable = response.status == 0;
    if (failures >= (unreachable ? std::min(3, patience.attempts) : patience.attempts))
      return response;
    const double pause = pause_before_retry(patience, failures, response);
    on_retry(fmt::format("{}; next try in {:.0f} s", describe(response), std::ceil(pause)), pause);
  }
}

}  // namespace mica::hub
