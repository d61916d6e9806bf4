// Answers of the HTTP surface, by what they hold. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "api/http_server.h"
#include "docker/base/result.h"

namespace ebbtide::api {

// {"message": …}
HttpResponse error_response(int status, std::string_view message);
// The status that fits the error's kind.
HttpResponse error_response(const Error& error);
HttpResponse json_response(std::string body);
HttpResponse text_response(int status, std::string body);
// With headers that let it load nothing from elsewhere, and be part of no other site's page.
HttpResponse page_response(std::string html, int status = 200);
// 303: the browser goes on with GET.
HttpResponse see_other(const std::string& path);
// Style, script, icon, API description; nothing if there is none of that name.
std::string_view asset(std::string_view name);
HttpResponse asset_response(std::string_view name, std::string_view content_type);

}  // namespace ebbtide::api
