#include "api/answers.h"

#include <nlohmann/json.hpp>

#include "embedded_assets.h"

namespace ebbtide::api {

HttpResponse error_response(int status, std::string_view message) {
  const auto body = nlohmann::json{{"message", message}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return {.status = status, .body = body + "\n"};
}

HttpResponse error_response(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalid:
      return error_response(400, error.message);
    case ErrorKind::kDenied:
      return error_response(403, error.message);
    case ErrorKind::kNotFound:
      return error_response(404, error.message);
    case ErrorKind::kConflict:
      return error_response(409, error.message);
    default:
      return error_response(503, error.message);
  }
}

HttpResponse json_response(std::string body) {
  return {.status = 200, .body = std::move(body), .headers = {{"Cache-Control", "no-store"}}};
}

HttpResponse text_response(int status, std::string body) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(body)};
}

HttpResponse page_response(std::string html, int status) {
  auto response = text_response(status, std::move(html));
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
                       "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-store"}};
  return response;
}

HttpResponse see_other(const std::string& path) {
  return {.status = 303,
          .content_type = "text/plain; charset=utf-8",
          .headers = {{"Location", path}, {"Cache-Control", "no-store"}}};
}

std::string_view asset(std::string_view name) {
  for (const auto& file : kFiles)
    if (file.name == name) return file.content;
  return {};
}

HttpResponse asset_response(std::string_view name, std::string_view content_type) {
  auto response = text_response(200, std::string(asset(name)));
  response.content_type = content_type;
  response.headers = {{"Cache-Control", "no-cache"}, {"Cross-Origin-Resource-Policy", "same-origin"}};
  return response;
}

}  // namespace ebbtide::api
