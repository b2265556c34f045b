#include "bench/launch/http_probe.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string_view>

namespace mica {
namespace {

constexpr size_t kMaxBody = size_t{1} << 20;

size_t take_body(char* bytes, size_t size, size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  const size_t total = size * count;
  if (body.size() + total > kMaxBody) return 0;  // ends the exchange
  body.append(bytes, total);
  return total;
}

size_t take_header(char* bytes, size_t size, size_t count, void* to) {
  const std::string_view line(bytes, size * count);
  constexpr std::string_view kName = "server:";
  const bool server = line.size() > kName.size() &&
                      std::equal(kName.begin(), kName.end(), line.begin(), [](char a, char b) {
                        return a == std::tolower(static_cast<unsigned char>(b));
                      });
  if (server) {
    std::string value(line.substr(kName.size()));
    value.erase(0, value.find_first_not_of(' '));
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())))
      value.pop_back();
    *static_cast<std::string*>(to) = value;
  }
  return size * count;
}

bool is_kept(int fd) {
  constexpr int kMilliseconds = 30;
  pollfd file{fd, POLLIN, 0};
  if (::poll(&file, 1, kMilliseconds) <= 0) return true;
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool connects(const addrinfo& address, int milliseconds) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool open = ::connect(fd, address.ai_addr, address.ai_addrlen) == 0;
  if (!open && errno == EINPROGRESS) {
    pollfd file{fd, POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    open = ::poll(&file, 1, milliseconds) > 0 &&
           ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  open = open && is_kept(fd);
  ::close(fd);
  return open;
}

}  // namespace

ProbeAnswer probe_get(const std::string& url, double seconds, const std::string& key) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  ProbeAnswer answer;
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return answer;
  curl_slist* headers = nullptr;
  if (!key.empty()) headers = curl_slist_append(nullptr, ("Authorization: Bearer " + key).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> list(headers, curl_slist_free_all);
  const auto set = [&](auto option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(seconds * 1000));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, "");  // of the environment, which must not stand between
  set(CURLOPT_WRITEFUNCTION, take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&answer.body));
  set(CURLOPT_HEADERFUNCTION, take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&answer.server));
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  double connect_time = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_CONNECT_TIME, &connect_time);
  answer.status = static_cast<int>(status);
  answer.connected = connect_time > 0 && code != CURLE_COULDNT_CONNECT;
  answer.no_http = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY;
  if (code != CURLE_OK) answer.failure = curl_easy_strerror(code);
  return answer;
}

bool is_port_open(const std::string& host, const std::string& port, double seconds) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  for (const addrinfo* address = found; address; address = address->ai_next)
    if (connects(*address, static_cast<int>(seconds * 1000))) return true;
  return false;
}

}  // namespace mica
