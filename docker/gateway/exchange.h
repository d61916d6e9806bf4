// Exchange: one request of a job's client, from its parsed head to the answer. A linear coroutine on the gateway's
// loop; lives no longer than its request. The handlers are in exchange_*.cpp by theme:
//   exchange.cpp         the flow, answers, the way to the engine and back
//   exchange_policy.cpp  what policy needs to know of the engine and the ledger
//   exchange_audit.cpp   the record of the request
//   exchange_stream.cpp  what becomes a tunnel: attach, exec
//   exchange_create.cpp  containers, networks, volumes, execs come into being
//   exchange_read.cpp    lists, inspects, events, disk usage
//   exchange_change.cpp  remove, rename, update, connect, prune
//   exchange_paths.cpp   bind sources that mean the job's own files
//   exchange_image.cpp   builds, pulls, loads, tags, commits
//   exchange_sight.cpp   which images the job sees, and which its builds may stand upon
//   exchange_context.cpp the classic builder's context, where builds are read
//   exchange_buildkit.cpp  what BuildKit's clients add: sessions, its control service
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "docker/gateway/answer.h"
#include "docker/gateway/build_archive.h"
#include "docker/gateway/caller.h"
#include "docker/gateway/context.h"
#include "docker/gateway/file_digests.h"
#include "docker/gateway/filter.h"
#include "docker/gateway/paths.h"
#include "docker/gateway/route.h"
#include "docker/gateway/session_logins.h"
#include "docker/gateway/stamp.h"
#include "docker/gateway/temper.h"
#include "docker/grpc/http2.h"

namespace ebbtide::gateway {

// Lets a connection's watcher end what the engine does for a client that has gone.
struct ClientState {
  bool gone = false;
  bool tunnelling = false;  // what the client sent before it went is still to be passed on
  http::Connection* upstream = nullptr;
  std::set<http::Connection*> pulls;  // to the engine, beside it
  std::optional<Caller> caller;       // once it was asked for
  // Bytes over the connection of the requests before.
  std::uint64_t audited_in = 0;
  std::uint64_t audited_out = 0;
};

// Who asks; found out once a connection, when first needed.
const Caller& known_caller(http::Connection& client, ClientState& state);
// A record with what every request has, from when it came; and its end, with the bytes and the time that it took.
AuditRecord begin_audit(const Context& context, http::Connection& client, ClientState& state);
void end_audit(const Context& context, http::Connection& client, ClientState& state, AuditRecord record);

// A build context on its way to the engine.
struct KeptContext {
  Turn turn;
  BuildArchive archive;
};

class Exchange {
 public:
  Exchange(Context& context, http::Connection& client, ClientState& client_state, http::RequestHead head);

  // True: the connection can serve another request.
  Task<bool> run();

 private:
  friend class BuildCall;
  friend class SessionCall;
  // What a handler leaves: whether the connection may go on.
  enum class Next { kNextRequest, kClose };

  // --- flow (exchange.cpp) ---
  Task<Next> serve();
  Task<Next> dispatch();
  Task<Next> dispatch_image();
  std::optional<Error> check_shape() const;

  const Caller& caller() const { return known_caller(client_, client_state_); }

  // --- the audit (exchange_audit.cpp) ---
  bool changes_something() const;
  void note_request();
  void note_object(std::string_view kind, std::string_view id, std::string_view name);
  void note_removed_images(const Json& removed);  // [{"Untagged":…},{"Deleted":…}], as the engine answers
  void note_fault(const Error& error);
  void audit(AuditRecord record);

  // --- policy (exchange_policy.cpp) ---
  EngineDefaults engine_defaults() const;
  std::optional<Refusal> check_agent_namespaces(const Json& body) const;
  std::optional<Refusal> check_registry_use() const;

  // --- answers of our own ---
  Task<Next> answer(int status, std::string body, std::string_view content_type = "application/json");
  Task<Next> answer_error(const Error& error);
  Task<Next> refuse(const Refusal& refusal);
  Task<Next> refuse_endpoint();
  Task<Next> not_found(Kind kind, std::string_view reference);
  // The engine's small answer, with this body in place of its own.
  Task<Next> forward(const http::SmallAnswer& from, std::string body);
  Task<Next> forward(const http::SmallAnswer& from) { return forward(from, from.body); }

  // --- the client's body ---
  Task<Result<std::string>> read_body();
  Task<Result<Json>> read_model(ModelName model);
  Task<Result<void>> discard_body();
  Task<Result<void>> invite_body();  // 100 Continue, if the client waits for it

  // --- the engine ---
  struct Upstream {
    std::unique_ptr<http::Connection> connection;
    http::ResponseHead head;
  };
  // Sends the request with target_ as it is now: with body if given, else with the client's body relayed if
  // relay_client_body, else with none. Returns when the answer's head is there.
  Task<Result<Upstream>> send(const std::optional<std::string>& body, bool relay_client_body);
  Task<Result<Upstream>> send_once(const std::string& head, const std::optional<std::string>& body,
                                   bool relay_client_body, bool fresh, bool& retry);
  Task<Result<Upstream>> read_answer(Upstream upstream);  // its head
  // The same with a body in pieces; the next is empty at the end, an error breaks the request off.
  using NextPiece = std::function<Task<Result<std::string>>()>;
  Task<Result<Upstream>> send_pieces(NextPiece next);
  Task<Result<Upstream>> send_pieces_once(NextPiece next);
  // With the client's body, each piece of which is seen on its way.
  Task<Result<Upstream>> send_seen(std::function<void(std::string_view)> see);
  http::RequestHead upstream_head(const std::optional<std::string>& body, bool relay_client_body) const;
  Task<Next> relay_answer(Upstream upstream);
  Task<Next> relay_error(Upstream upstream);
  Task<Next> relay(bool client_body);
  // An exchange of our own with the path and query of target_; body as JSON.
  Task<Result<http::SmallAnswer>> call(std::string_view method, std::string body = {});
  // Likewise, of what the engine does one of at a time, whosesoever: waits for another's.
  Task<Result<http::SmallAnswer>> call_in_turn(std::string_view method);
  Task<Result<http::SmallAnswer>> ask(std::string_view path);  // GET, in the request's API version
  std::string in_version(std::string_view path) const;

  // --- whose is it ---
  // The owner's object, or the answer that says there is none. Asks the engine where the ledger does not know.
  Task<Result<Belonging>> resolve(Kind kind, std::string reference);
  Task<bool> learn(Kind kind, const std::string& reference);
  Task<bool> learn_real(Kind kind, const std::string& reference);
  // What the reference means where it is the name of a volume that agents have in common.
  std::optional<Belonging> shared_volume(Kind kind, std::string_view reference) const;
  std::optional<std::string> name_of(Kind kind, std::string_view id) const;
  // An exec of the owner's, by its full id.
  Task<Result<Belonging>> resolve_exec(std::string id);
  // Runs work, which resolves references from the ledger; when it meets an unknown one, asks the engine and runs it
  // again.
  Task<Result<void>> with_references(std::function<Result<void>(const Resolve&)> work);
  // The engine is asked by id; its errors shall name the object as the client did.
  void remember_given(const std::string& id, std::string_view reference);
  std::string in_given_words(std::string text) const;
  bool is_visible(Kind kind, std::string_view id) const;
  bool is_own_agent(const Belonging& belonging) const { return belonging.role == Role::kAgent; }
  std::string parent() const;
  Labels labels_for(Kind kind, std::string_view real_name, std::string_view given_name) const;
  std::string image_owner() const;
  bool owns_images() const { return context_.spec.images != ImageMode::kShared; }
  bool isolates_images() const { return context_.spec.images == ImageMode::kIsolated; }

  // --- handlers ---
  Task<Next> ping();
  Task<Next> version();
  OwnCounts own_counts() const;
  Task<Next> relay_object();
  Task<Next> relay_lines();
  Task<Next> relay_image();
  Task<Next> save_own_images();
  Task<Next> upgrade();
  Task<Next> upgraded(Upstream upstream);
  Task<Next> exec_inspect();

  Task<Next> create_container();
  Task<Result<std::optional<Refusal>>> admit_container(Json& body);
  Task<Result<void>> prepare_container(Json& body, const std::string& name);
  // Bind sources that mean paths of the job's own container, put where the engine finds them.
  Task<Result<void>> place_paths(Json& body, Policy& policy);
  Task<Result<CallerFiles>> caller_files();
  std::string caller_container();  // whose paths are meant; empty: nobody's
  std::vector<PathSource> paths_to_place(const Json& body);
  // A volume that stands for a directory of the caller; false: it is none.
  Task<Result<bool>> place_device(Json& volume);
  Task<Result<Staged>> stage_path(const CallerFiles& caller, const PathSource& source);
  Task<Result<void>> make_named_volumes(const Json& body);
  Task<Result<void>> label_volumes(Json& body);
  Task<Result<std::vector<std::string>>> mounted_from(const Json& body);
  Task<Result<void>> make_named_volume(const NamedVolume& volume);
  Task<void> remove_made_volumes();
  // Whether the volume of that real name is this owner's, or one of those that agents have in common.
  Task<bool> may_use_volume(const std::string& real_name, const std::string& given_name);
  Labels volume_labels(const std::string& real_name, const std::string& given_name) const;
  Task<Next> create_network();
  Task<Next> create_volume();
  Task<Next> create_exec();
  std::optional<Refusal> check_count() const;
  Task<Next> claimed(const http::SmallAnswer& made, Belonging belonging);

  Task<Next> list_containers();
  Task<Next> list_networks();
  Task<Next> list_volumes();
  Task<Next> list_images();
  Task<Next> inspect();
  Task<Next> events();
  Task<Next> stream_events(Upstream upstream);
  Task<Next> disk_usage();
  Task<Next> rewritten(std::function<void(Json&)> rewrite);
  Task<Result<Filters>> owner_filters();
  void keep_own(Json& list, Kind kind) const;
  Task<Result<Json>> shared_volumes();
  // Turns the filter `name` of the job's words into one of ids; false: nothing matches.
  bool filter_by_id(Filters& filters) const;

  Task<Next> update_container();
  Task<Next> rename_container();
  Task<Next> remove();
  Task<Next> connect_network();
  Task<Next> prune();
  void settle_pruned(const Json& answer);
  void settle_gone(Kind kind, const std::string& id);

  Task<Next> pull_image();
  Task<Next> import_image();
  Task<Next> build();
  bool is_buildkit_build() const { return target_.query.get("version") == "2"; }
  Task<Next> read_and_build();
  Task<Next> build_from(std::optional<KeptContext> context);
  Task<Next> relay_build(std::optional<KeptContext>& context);
  // With BuildKit: see exchange_buildkit.cpp.
  Task<Next> build_session();
  Task<Next> build_control();
  Task<Next> cancel_build();
  std::optional<Error> check_http2_upgrade() const;
  // An upgraded connection to the engine, or the answer that says why there is none.
  Task<Result<Upstream>> upgrade_to_http2();
  using Serve = std::function<Task<void>(std::shared_ptr<grpc::Stream> call, grpc::Http2& to)>;
  // Until the connection ends: each call that from's peer makes.
  Task<void> serve_calls(grpc::Http2& from, grpc::Http2& to, Serve serve);
  // The engine's calls to the client's services, of which those that send Dockerfiles are read.
  Task<Next> read_session(Upstream upstream, std::shared_ptr<BuildReading> reading);
  Task<Result<void>> await_session(std::string id);
  Task<Result<void>> prepare_buildkit_build();
  Task<std::optional<Refusal>> admit_buildkit_build();
  Task<std::optional<Refusal>> admit_build(BuildArguments arguments, std::string session);
  // The classic builder's context, taken from the client and read.
  Task<bool> await_turn();  // to keep a context; false: the client has gone
  Task<Result<std::optional<Refusal>>> admit_context(std::optional<KeptContext>& context);
  Task<Result<void>> take_context(BuildArchive& context);
  // Written anew.
  Task<Result<Upstream>> send_context(BuildArchive& context);
  Task<Next> commit();
  Task<Next> load_images();
  Task<Result<Upstream>> send_archive(FileDigests& files);
  Task<Next> tag_image();
  Task<Next> remove_image();
  // Relays an answer by way of watch: it is shown each piece, and says what goes on in its place. An empty piece is the
  // end; finish runs before the client hears of it.
  Task<Next> relay_watched(
      Upstream upstream, std::function<std::string(std::string_view)> watch,
      std::function<Task<void>()> finish = []() -> Task<void> { co_return; });
  // Writes down that the owner is about to give this reference. replaces: what it means now would be out of reach
  // (kDenied where that isn't the owner's to do).
  struct Claim {
    ImageRecord record;
    bool first = false;  // of the owner's upon that reference
  };
  Task<Result<Claim>> record_reference(std::string reference, bool replaces = false);
  // Afterwards. failed: the request came to nothing, for certain.
  Task<void> settle_reference(Claim claim, bool failed = false);
  Task<void> settle_references(std::vector<Claim> claims);
  Task<Result<void>> check_replaced(const ImageRecord& record, const Json& image);
  Task<Next> answer_image_error(const Error& error);
  Task<void> see_loaded(std::string reference, const std::map<std::string, std::string>& before,
                        const FileDigests& sent);
  Task<std::string> put_back(std::string reference, const std::map<std::string, std::string>& before);
  Task<void> record_loaded(std::string reference, const std::map<std::string, std::string>& before);

  // --- sight (exchange_sight.cpp) ---
  Task<bool> sees_image(std::string reference);
  Task<std::string> own_image_id(std::string reference);
  Task<std::string> image_id(std::string reference);
  Task<bool> pin_image(std::string& reference);   // false: not seen
  Task<std::string> pin_images(Json& container);  // the first that isn't seen
  Task<std::vector<std::string>> own_tags(std::string repository);
  Task<Result<Pulls::Facts>> known_manifests();
  Task<Result<Pulls::Facts>> begin_pull(std::optional<Pulls::Open>& under_way);
  Task<bool> hides_image(std::string reference);  // there is one of that name, and it is not the job's
  Task<std::set<std::string>> own_images();       // ids
  Task<std::set<std::string>> visible_images();
  bool is_own_image(const Json& image, const Labels& labels, const std::set<std::string>& own) const;
  Task<void> see_image(std::string id);
  Task<Result<void>> see_pulled(std::string reference, std::vector<std::string> digests, Pulls::Facts before);
  // Whether the gateway must know what images builds take: the engine would give them any.
  bool reads_builds() const;
  // Images that a build takes: each is the job's to see, or becomes so by a pull.
  Task<std::optional<Refusal>> admit_builds(std::vector<DockerfileBuild> builds, LoginFor login_for);
  Task<std::optional<Refusal>> admit_images(DockerfileImages named, LoginFor login_for);
  Task<std::optional<Refusal>> admit_base(std::string reference, const LoginFor& login_for);
  Task<tl::expected<Json, Refusal>> admit_image(std::string reference, const LoginFor& login_for);
  Task<Result<void>> pull(std::string reference, const LoginFor& login_for);
  Task<Result<std::vector<std::string>>> pull_digests(std::string reference, const Json& login);
  Task<Result<std::vector<std::string>>> pull_over(http::Connection& connection, std::string reference,
                                                   const Json& login);

  Task<Result<bool>> record_image(ImageRecord record);  // as Store::record_image
  Task<void> record_steps(std::vector<std::string> ids, TimePoint began);
  Task<Result<bool>> may_remove_image(const std::string& reference);

  Context& context_;
  http::Connection& client_;
  ClientState& client_state_;
  http::RequestHead head_;
  http::Target target_;
  Match match_;
  std::vector<std::pair<std::string, std::string>> given_words_;  // id → as the client named it
  std::vector<std::string> made_volumes_;                         // for the container that is being created; real names
  bool body_read_ = false;
  int status_ = 0;    // answered
  std::string rule_;  // of a refusal
  // For the audit: why an answer of ours that is no refusal was an error; the path as given; what the request was
  // about.
  std::string fault_;
  std::string path_;
  std::vector<AuditObject> objects_;
};

}  // namespace ebbtide::gateway
