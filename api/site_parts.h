// Small things that the files of Site share. Pure; any thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/board.h"
#include "api/gate.h"
#include "api/http_server.h"

namespace ebbtide::api {

inline constexpr const char* kNoFormToken =
    "the form is of another session, or of before a restart: go back, load the page anew and try again";

// Of forms that change something: that one of ours was filled in by this visitor.
bool holds_form_token(const HttpRequest& request, const Visitor& visitor);
// A person reads the answer, not a program.
bool wants_page(const HttpRequest& request);
std::string value(const std::map<std::string, std::string>& fields, const std::string& name);  // empty: none
// path if it is one of this server, else "/".
std::string local_path(const std::string& path);
std::string search_of(const HttpRequest& request);
Filter filter_of(const HttpRequest& request);
std::shared_ptr<const Row> row_of(const Snapshot& snapshot, const std::string& id);

}  // namespace ebbtide::api
