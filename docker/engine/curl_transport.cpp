#include "docker/engine/curl_transport.h"

#include <curl/curl.h>

#include <mutex>

#include "docker/base/text.h"

namespace ebbtide {
namespace {

constexpr long kConnectLimitMs = 3000;
constexpr long kSilenceLimitSeconds = 600;
constexpr std::size_t kIdleHandles = 8;

struct HandleDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, HandleDeleter>;

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

void initialise_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// What the callbacks of one transfer see.
struct Transfer {
  const EngineRequest* request;
  EngineAnswer answer;
  bool too_large = false;
  bool ended_by_us = false;
};

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line = trim({data, size});
  if (line.starts_with("HTTP/")) {
    transfer.answer.headers.clear();  // a 1xx answer came before
    const auto space = line.find(' ');
    transfer.answer.status = space == std::string_view::npos ? 0 : std::atol(line.data() + space + 1);
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    transfer.answer.headers[to_lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
  }
  return size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const bool good = transfer.answer.status >= 200 && transfer.answer.status < 300;
  if (good && transfer.request->on_body) {
    if (transfer.request->on_body({data, size})) return size;
    transfer.ended_by_us = true;
    return 0;
  }
  if (transfer.answer.body.size() + size > transfer.request->max_body) {
    transfer.too_large = true;
    return 0;
  }
  transfer.answer.body.append(data, size);
  return size;
}

int look_whether_wanted(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.request->wanted()) return 0;
  transfer.ended_by_us = true;
  return 1;
}

HeaderList make_headers(const EngineRequest& request) {
  curl_slist* list = nullptr;
  const auto add = [&list](const std::string& line) { list = curl_slist_append(list, line.c_str()); };
  if (!request.body.empty())
    add("Content-Type: " + (request.content_type.empty() ? std::string("application/json") : request.content_type));
  add("Expect:");  // no pause of a second before a large body
  for (const auto& header : request.headers) add(header);
  return HeaderList(list);
}

void set_method(CURL* handle, const EngineRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
}

Error error_of(CURLcode code, const EngineRequest& request, const EngineAddress& address, const char* detail) {
  const auto text = address.text() + ": " + (*detail ? detail : curl_easy_strerror(code));
  if (code == CURLE_OPERATION_TIMEDOUT && request.limit.count() > 0)
    return Error::timeout("the engine " + address.text() + " did not answer within " +
                          std::to_string(request.limit.count()) + " ms");
  if (code == CURLE_OPERATION_TIMEDOUT) return Error::timeout("the engine " + address.text() + " fell silent");
  return Error::unavailable("can't reach the engine " + text);
}

void set_blob(CURL* handle, CURLoption option, const std::string& pem) {
  if (pem.empty()) return;
  // Without CURL_BLOB_COPY libcurl would keep our pointer.
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_COPY};
  curl_easy_setopt(handle, option, &blob);
}

}  // namespace

void prepare_handle(CURL* handle, const EngineAddress& address, const std::string& target) {
  initialise_curl();
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, kConnectLimitMs);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  std::string base = "http://docker";
  if (address.kind == EngineAddress::Kind::kUnix)
    curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, address.path.c_str());
  else
    base = (address.kind == EngineAddress::Kind::kTls ? "https://" : "http://") + address.host + ":" +
           std::to_string(address.port);
  curl_easy_setopt(handle, CURLOPT_URL, (base + target).c_str());
  set_blob(handle, CURLOPT_CAINFO_BLOB, address.tls.ca_pem);
  set_blob(handle, CURLOPT_SSLCERT_BLOB, address.tls.cert_pem);
  set_blob(handle, CURLOPT_SSLKEY_BLOB, address.tls.key_pem);
}

struct CurlTransport::Pool {
  mutable std::mutex mutex;  // guards what follows; not held while a handle works
  std::vector<Handle> idle;
  std::map<std::string, Histogram> latencies;

  void count(const EngineRequest& request, double seconds) {
    if (request.limit.count() == 0) return;
    const std::scoped_lock lock(mutex);
    latencies[request.method].add(seconds);
  }

  Handle take() {
    {
      const std::scoped_lock lock(mutex);
      if (!idle.empty()) {
        auto handle = std::move(idle.back());
        idle.pop_back();
        return handle;
      }
    }
    initialise_curl();
    return Handle(curl_easy_init());
  }

  void give_back(Handle handle) {
    curl_easy_reset(handle.get());  // options go, the connection stays
    const std::scoped_lock lock(mutex);
    if (idle.size() < kIdleHandles) idle.push_back(std::move(handle));
  }
};

CurlTransport::CurlTransport(EngineAddress address) : address_(std::move(address)), pool_(std::make_unique<Pool>()) {}

CurlTransport::~CurlTransport() = default;

std::map<std::string, Histogram> CurlTransport::latencies() const {
  const std::scoped_lock lock(pool_->mutex);
  return pool_->latencies;
}

Result<EngineAnswer> CurlTransport::send(const EngineRequest& request) {
  auto handle = pool_->take();
  if (!handle) return fail(Error::internal("libcurl gives no handle"));
  Transfer transfer{.request = &request, .answer = {}};
  std::string detail(CURL_ERROR_SIZE, '\0');
  const auto headers = make_headers(request);
  prepare_handle(handle.get(), address_, request.target);
  set_method(handle.get(), request);
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle.get(), CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle.get(), CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, detail.data());
  if (request.limit.count() > 0) {
    curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
  } else {
    curl_easy_setopt(handle.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_LOW_SPEED_TIME, kSilenceLimitSeconds);
  }
  if (request.wanted) {
    curl_easy_setopt(handle.get(), CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle.get(), CURLOPT_XFERINFOFUNCTION, look_whether_wanted);
    curl_easy_setopt(handle.get(), CURLOPT_XFERINFODATA, &transfer);
  }
  const auto began = std::chrono::steady_clock::now();
  const auto code = curl_easy_perform(handle.get());
  pool_->count(request, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  pool_->give_back(std::move(handle));
  if (transfer.too_large)
    return fail(Error::too_large("the answer of " + address_.text() + " to " + request.target + " is too large"));
  if (transfer.ended_by_us) return fail(Error::cancelled("the transfer was ended"));
  if (code != CURLE_OK) return fail(error_of(code, request, address_, detail.c_str()));
  return std::move(transfer.answer);
}

}  // namespace ebbtide
