#include "docker/gateway/model.h"

#include <limits>
#include <set>

#include "docker/base/text.h"
#include "docker/gateway/schema.h"

namespace ebbtide::gateway {

namespace {

constexpr int kMaxDepth = 64;
// In the whole body: an ordered object is searched from its start, so a huge one would cost time by the square.
constexpr std::size_t kMaxMembers = 10000;

tl::unexpected<Error> invalid(std::string message) { return fail(Error::invalid(std::move(message))); }

// What the parser itself does not refuse: members that appear twice, depth, and size. It stops keeping values at the
// first fault.
class Strictness {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    if (!fault_.empty()) return false;
    if (event == Event::object_start) members_.emplace_back();
    if (event == Event::object_end) members_.pop_back();
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth)
      fault_ = "the body is nested too deeply";
    if (event == Event::key) see(parsed.get_ref<const std::string&>());
    return fault_.empty();
  }
  const std::string& fault() const { return fault_; }

 private:
  void see(const std::string& name) {
    if (!members_.back().insert(name).second) fault_ = "the body has the member " + name + " twice";
    if (++count_ > kMaxMembers) fault_ = "the body has too many members";
  }

  std::vector<std::set<std::string>> members_;  // of each open object
  std::size_t count_ = 0;
  std::string fault_;
};

Result<Json> parse(std::string_view body) {
  Strictness strictness;
  // A wrapper, since the parser copies its callback.
  const auto callback = [&](int depth, Json::parse_event_t event, Json& parsed) {
    return strictness(depth, event, parsed);
  };
  try {
    auto document = Json::parse(body, callback);
    if (!strictness.fault().empty()) return invalid(strictness.fault());
    return document;
  } catch (const Json::parse_error& e) {
    if (!strictness.fault().empty()) return invalid(strictness.fault());
    // Not e.what(): it quotes the client's bytes.
    return invalid("the body is not valid JSON, at byte " + std::to_string(e.byte));
  } catch (const Json::out_of_range&) {
    return invalid("a number in the body is out of range");
  }
}

const Member* find_member(std::span<const Member> members, std::string_view name) {
  const auto folded = fold(name);
  for (const auto& member : members)
    if (equal_fold(member.name, folded)) return &member;
  return nullptr;
}

std::string joined(const std::string& where, std::string_view name) {
  return where.empty() ? std::string(name) : where + "." + std::string(name);
}

std::string_view wanted(Type type) {
  switch (type) {
    case Type::kBool:
      return "true or false";
    case Type::kInt:
      return "an integer";
    case Type::kUint:
      return "an integer, not negative";
    case Type::kString:
      return "a string";
    case Type::kStrings:
      return "a list of strings";
    case Type::kCommand:
      return "a string or a list of strings";
    case Type::kUints:
      return "a list of integers, not negative";
    case Type::kTable:
      return "a list of lists of strings";
    case Type::kObjects:
      return "a list of objects";
    case Type::kObject:
    case Type::kTexts:
    case Type::kSet:
    case Type::kEntries:
    case Type::kListings:
      return "an object";
    case Type::kIgnored:
      return "anything";
  }
  return "something else";
}

// Decodes one value, without its nulls: Go leaves a field alone for null.
class Decoder {
 public:
  Result<Json> object(const Json& value, std::span<const Member> members, const std::string& where) {
    if (!value.is_object()) return mismatch(where, Type::kObject);
    Json decoded = Json::object();
    for (const auto& [name, content] : value.items()) {
      const auto* member = find_member(members, name);
      if (member == nullptr) {
        if (is_zero(content)) continue;
        return invalid(joined(where, name) + " is not known to the gateway: leave it out");
      }
      if (!seen_once(value, *member)) return invalid(joined(where, member->name) + " is there twice");
      if (content.is_null() || member->type == Type::kIgnored) continue;
      auto inner = any(content, *member, joined(where, member->name));
      if (!inner) return inner;
      decoded[std::string(member->name)] = std::move(*inner);
    }
    return decoded;
  }

 private:
  static tl::unexpected<Error> mismatch(const std::string& where, Type type) {
    return invalid((where.empty() ? "the body" : where) + " must be " + std::string(wanted(type)));
  }

  static bool seen_once(const Json& value, const Member& member) {
    int count = 0;
    for (const auto& [name, content] : value.items())
      if (equal_fold(member.name, fold(name))) ++count;
    return count == 1;
  }

  Result<Json> any(const Json& value, const Member& member, const std::string& where) {
    switch (member.type) {
      case Type::kBool:
      case Type::kInt:
      case Type::kUint:
      case Type::kString:
        return scalar(value, member.type, where);
      case Type::kStrings:
        return scalars(value, Type::kString, where, member.type);
      case Type::kUints:
        return scalars(value, Type::kUint, where, member.type);
      case Type::kCommand:
        if (value.is_string()) return Json::array({value});
        return scalars(value, Type::kString, where, member.type);
      case Type::kTable:
        return each(value, where, member.type,
                    [&](const Json& row) { return scalars(row, Type::kString, where, member.type); });
      case Type::kObject:
        return object(value, member.members, where);
      case Type::kObjects:
        return objects(value, member, where);
      case Type::kTexts:
      case Type::kSet:
      case Type::kEntries:
      case Type::kListings:
        return map(value, member, where);
      case Type::kIgnored:
        break;
    }
    return mismatch(where, member.type);
  }

  static Result<Json> scalar(const Json& value, Type type, const std::string& where) {
    const bool fits = (type == Type::kBool && value.is_boolean()) || (type == Type::kString && value.is_string()) ||
                      (type == Type::kUint && value.is_number_unsigned()) || (type == Type::kInt && is_int64(value));
    if (!fits) return mismatch(where, type);
    return value;
  }

  static bool is_int64(const Json& value) {
    if (value.is_number_unsigned())
      return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return value.is_number_integer();
  }

  template <class Decode>
  static Result<Json> each(const Json& value, const std::string& where, Type type, const Decode& decode) {
    if (!value.is_array()) return mismatch(where, type);
    Json decoded = Json::array();
    for (const auto& element : value) {
      auto inner = decode(element);
      if (!inner) return inner;
      decoded.push_back(std::move(*inner));
    }
    return decoded;
  }

  static Result<Json> scalars(const Json& value, Type element, const std::string& where, Type type) {
    return each(value, where, type, [&](const Json& item) -> Result<Json> {
      auto decoded = scalar(item, element, where);
      if (!decoded) return mismatch(where, type);
      return decoded;
    });
  }

  Result<Json> objects(const Json& value, const Member& member, const std::string& where) {
    return each(value, where, Type::kObjects,
                [&](const Json& element) { return object(element, member.members, where); });
  }

  // Keys are the job's own words and stay as they are. A null is the zero of the values' type.
  Result<Json> map(const Json& value, const Member& member, const std::string& where) {
    if (!value.is_object()) return mismatch(where, member.type);
    Json decoded = Json::object();
    for (const auto& [key, content] : value.items()) {
      auto inner = map_value(content, member, joined(where, key));
      if (!inner) return inner;
      decoded[key] = std::move(*inner);
    }
    return decoded;
  }

  Result<Json> map_value(const Json& value, const Member& member, const std::string& where) {
    switch (member.type) {
      case Type::kTexts:
        return value.is_null() ? Json("") : scalar(value, Type::kString, where);
      case Type::kListings:
        return value.is_null() ? Json::array() : objects(value, member, where);
      default:
        return value.is_null() ? Json::object() : object(value, member.members, where);
    }
  }
};

bool may_be_empty(ModelName model) {
  return model == ModelName::kExecStart || model == ModelName::kCommit || model == ModelName::kVolumeCreate;
}

}  // namespace

std::string fold(std::string_view name) {
  std::string folded;
  for (std::size_t at = 0; at < name.size();) {
    const auto rest = name.substr(at);
    if (rest.starts_with("\xC5\xBF")) {
      folded += 's';
      at += 2;
    } else if (rest.starts_with("\xE2\x84\xAA")) {
      folded += 'k';
      at += 3;
    } else {
      folded += rest.front();
      ++at;
    }
  }
  return to_lower(folded);
}

bool is_zero(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return true;
    case Json::value_t::boolean:
      return !value.get<bool>();
    case Json::value_t::string:
    case Json::value_t::array:
    case Json::value_t::object:
      return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return value == 0;
    case Json::value_t::number_float:
      return value == 0.0;
    case Json::value_t::binary:
    case Json::value_t::discarded:
      return false;
  }
  return false;
}

Result<Json> decode(ModelName model, std::string_view body) {
  Json document = Json::object();
  if (trim(body).empty()) {
    if (!may_be_empty(model)) return invalid("the body is empty: send a JSON object");
  } else {
    auto parsed = parse(body);
    if (!parsed) return parsed;
    // `docker commit` sends null for "nothing to change".
    if (!parsed->is_null() || !may_be_empty(model)) document = std::move(*parsed);
  }
  auto decoded = Decoder().object(document, schema_of(model), "");
  // Without a HostConfig, old engines read its members from the top level (Engine API 1.41, tried).
  if (decoded && model == ModelName::kContainerCreate && !decoded->contains("HostConfig"))
    (*decoded)["HostConfig"] = Json::object();
  return decoded;
}

}  // namespace ebbtide::gateway
