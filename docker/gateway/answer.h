// Answer: what the gateway changes in the engine's answers: reserved labels go, and so does what is not the owner's.
// Also the errors that the gateway answers itself, in the engine's words, so that a foreign object looks like none, and
// readers for the progress of builds and loads. Pure; any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/gateway/model.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// Whether an object is the owner's to see. id: as the engine says it; a volume's name.
using IsVisible = std::function<bool(Kind kind, std::string_view id)>;

// Of an object as it is listed.
Labels labels_of(const Json& item);

// Takes reserved labels out of every Labels member in the answer, at any depth (inspect, lists, df, Config.Labels), and
// out of the LABEL lines of GET /images/{name}/history.
void hide_labels(Json& answer);
// From an inspected container, if it is this one.
void hide_cgroup_parent(Json& container, std::string_view ours);

// GET /images/{name}/history: without the layers, all empty, that only set our label.
void hide_label_layers(Json& history);

// GET /networks and /volumes, /containers/json: only what is visible. Predefined networks are. The array itself, or
// the Volumes member.
void keep_visible(Json& list, Kind kind, const IsVisible& visible);
// GET /networks/{id}, and each entry of GET /networks: the owner's endpoints only, in Containers and Services.
void keep_visible_endpoints(Json& network, const IsVisible& visible);
// GET /system/df: the owner's containers and volumes; all images; no build cache.
void reduce_disk_usage(Json& usage, const IsVisible& visible);
// And for those who don't see all images; the size of the layers is then that of the images, each for itself.
void reduce_image_usage(Json& usage, const IsVisible& visible);

// A container as inspected or listed, or a list of them: where the gateway gave the engine ids (NetworkMode,
// VolumesFrom), the names that name_of knows for them.
using NameOf = std::function<std::optional<std::string>(Kind kind, std::string_view id)>;
void name_references(Json& container, const NameOf& name_of);

// GET /info: the owner's numbers of containers in place of the engine's; nothing of a swarm, nor of the engine's
// labels.
struct OwnCounts {
  std::size_t running = 0;
  std::size_t paused = 0;
  std::size_t stopped = 0;
  std::optional<std::size_t> images;  // nothing: it sees all
};
void reduce_info(Json& info, const OwnCounts& own);

// One event of GET /events, without its line end: as the owner may see it, or nothing if it isn't the owner's. Those of
// images by what is visible, or by the label of image_owner, where it is not empty. Network and volume events bear no
// labels, so visible decides from the ledger; exec events are their container's. A connect to a predefined network is
// the container's.
std::optional<std::string> event_for_owner(std::string_view line, const IsVisible& visible,
                                           std::string_view image_owner = "");

// The body of an error: {"message":…} and a line end, as the engine writes it.
std::string error_body(std::string_view message);
// The same within an answer that is a stream of progress.
std::string error_line(std::string_view message);
// "No such container: db", as the engine says it of each kind.
std::string not_found_message(Kind kind, std::string_view reference);

// The lines of a stream whose bytes come in pieces cut anywhere. Lines longer than a limit are passed over.
class Lines {
 public:
  // Calls take with each line that is now whole, without its end.
  void feed(std::string_view bytes, const std::function<void(std::string_view line)>& take);
  // At the end of the stream: a last line that has no end.
  void finish(const std::function<void(std::string_view line)>& take);

 private:
  std::string kept_;
  bool skipping_ = false;
};

// POST /build: what images the build made, read from its progress (NDJSON).
class BuildLines {
 public:
  // quiet: the query's q, with which the answer is the image's id alone.
  explicit BuildLines(bool quiet = false) : quiet_(quiet) {}

  void feed(std::string_view bytes);
  void finish();
  // The full id of the finished image, once it is known. Only the engine can have written it.
  const std::optional<std::string>& result() const { return result_; }
  // Ids, short as the builder prints them, of the images of single steps since the last call: neither those of FROM nor
  // cached ones, which were there before. A RUN can print such lines too, so they prove nothing: whoever removes these
  // images must see first that they were created during the build. They go with the result; a failed build leaves them.
  std::vector<std::string> take_steps();

 private:
  void read(std::string_view line);
  void read_text(std::string_view text);

  bool quiet_;
  Lines lines_;
  std::optional<std::string> result_;
  std::vector<std::string> steps_;
  bool there_before_ = false;  // what the current step results in
};

// POST /build: the progress as the client may see it, without the step that sets our label, which the engine counts in
// (Engine 20.10, tried). Bytes in, bytes out; nothing else is changed.
class BuildView {
 public:
  std::string feed(std::string_view bytes);
  std::string finish();

 private:
  void show(std::string_view line, std::string& out);

  std::string kept_;      // of a line that is not whole yet
  bool passing_ = false;  // a line too long to be a step goes on as it comes
  bool hiding_ = false;   // what follows belongs to our step
  bool hidden_ = false;   // our step has been
};

// POST /images/load: "Loaded image: app:1" and "Loaded image ID: sha256:…".
class LoadLines {
 public:
  void feed(std::string_view bytes);
  void finish();
  // References and full ids since the last call.
  std::vector<std::string> take();

 private:
  void read(std::string_view line);

  Lines lines_;
  std::vector<std::string> found_;
};

// POST /images/load: the progress for a client that doesn't see all images, without the ids of those that lose a tag.
class LoadView {
 public:
  std::string feed(std::string_view bytes);
  std::string finish();

 private:
  void show(std::string_view line, std::string& out);

  Lines lines_;
};

}  // namespace ebbtide::gateway
