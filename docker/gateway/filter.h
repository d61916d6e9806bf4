// Filters: the `filters` of list, prune and events requests, read in both forms that the engine takes
// ({"k":["v"]} and {"k":{"v":true}}; a false counts as well) and written in the second. Values, not threads' business:
// any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

class Filters {
 public:
  // Empty text: no filters. kInvalid in the engine's manner where the text is neither form.
  static Result<Filters> parse(std::string_view text);

  bool empty() const { return values_.empty(); }
  std::vector<std::string> get(std::string_view key) const;
  bool has(std::string_view key, std::string_view value) const;
  void add(std::string_view key, std::string_view value);
  void set(std::string_view key, std::vector<std::string> values);  // replaces all of that key
  void remove(std::string_view key);
  std::string to_text() const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

// A job doesn't see reserved labels, so it can't filter by them: kInvalid for `label`, left out for `label!`.
Result<void> refuse_reserved_labels(Filters& filters);

// Only what bears the owner's labels: for containers, networks and volumes, in lists and prunes. The engine takes
// label filters together (and). Call refuse_reserved_labels first.
void add_owner(Filters& filters, std::string_view server_id, std::string_view owner);
// The same for images (ebbtide.image-agent).
void add_image_owner(Filters& filters, std::string_view image_owner);

// Values of `before`, `since` (containers), `network` and `volume` replaced by what resolve says. An unknown container
// is the error that resolve gives, as from the engine; an unknown network or volume stays, since it matches nothing of
// the owner's. Absolute values of `volume` are destinations and stay.
Result<void> resolve_container_filters(
    Filters& filters, const std::function<Result<std::string>(Kind kind, std::string_view reference)>& resolve);
// Values of `container`, `network`, `volume` of GET /events, the same way; what is unknown stays.
void resolve_event_filters(Filters& filters,
                           const std::function<Result<std::string>(Kind kind, std::string_view reference)>& resolve);

}  // namespace ebbtide::gateway
