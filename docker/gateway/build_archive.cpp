#include "docker/gateway/build_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "docker/base/release.h"
#include "docker/base/text.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::gateway {
namespace {

constexpr std::uint64_t kLookEvery = 16 << 20;
constexpr std::uint64_t kRoomLeft = 1 << 30;
constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kAnswer = 128 * 1024;           // about what next() gives
constexpr int kStepsAtOnce = 512;                     // of scan(): an entry's header, or a piece of content
constexpr std::size_t kMostHeader = 4 * 1024 * 1024;  // a map of holes could fill the memory
constexpr std::size_t kMostDockerfile = 1024 * 1024;
constexpr std::size_t kMostName = 4096;  // PATH_MAX: no engine makes more
constexpr int kMostEntries = 1'000'000;

using Reader = std::unique_ptr<archive, Release<archive_read_free>>;
using Writer = std::unique_ptr<archive, Release<archive_write_free>>;
using Entry = std::unique_ptr<archive_entry, Release<archive_entry_free>>;

// libarchive converts names as the locale says, and composes accents in UTF-8. In "C" only ASCII converts; of all else
// it keeps the bytes.
class PlainBytes {
 public:
  PlainBytes() : before_(::uselocale(locale())) {}
  ~PlainBytes() { ::uselocale(before_); }
  PlainBytes(const PlainBytes&) = delete;
  PlainBytes& operator=(const PlainBytes&) = delete;

 private:
  static locale_t locale() {
    static const locale_t kC = ::newlocale(LC_ALL_MASK, "C", nullptr);
    return kC;
  }
  locale_t before_;
};

Error refusal(const std::string& why) { return Error::invalid("build context: " + why); }

Error over(std::uint64_t limit) {
  return Error::too_large("build context: it is over the limit of " + std::to_string(limit) +
                          " bytes, unpacked too: name what the build does not need in .dockerignore");
}

std::string text_of(archive* handle) {
  const auto* text = ::archive_error_string(handle);
  return text ? text : "unknown fault";
}

// --- paths ---

// As Go's filepath.Clean, without a leading slash; empty: the context itself. Nothing: it leads out.
std::optional<std::string> clean(std::string_view path) {
  std::vector<std::string> kept;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      kept.push_back(std::move(part));
    else if (!kept.empty())
      kept.pop_back();
    else if (!path.starts_with('/'))
      return std::nullopt;
  }
  return join(kept, "/");
}

// The engine unpacks with the context as its root: ".." leads nowhere from there.
std::string path_of(archive_entry* entry) { return *clean("/" + std::string(::archive_entry_pathname(entry))); }

// --- entries ---

bool is_file(archive_entry* entry) {
  return ::archive_entry_filetype(entry) == AE_IFREG && ::archive_entry_hardlink(entry) == nullptr;
}

bool is_folder(archive_entry* entry) {
  return ::archive_entry_filetype(entry) == AE_IFDIR && ::archive_entry_hardlink(entry) == nullptr;
}

void copy_kind(archive_entry* from, archive_entry* to) {
  if (const auto* target = ::archive_entry_hardlink(from)) {
    ::archive_entry_set_filetype(to, AE_IFREG);
    ::archive_entry_copy_hardlink(to, target);
    return;
  }
  ::archive_entry_set_filetype(to, ::archive_entry_filetype(from));
  if (const auto* target = ::archive_entry_symlink(from)) ::archive_entry_copy_symlink(to, target);
  if (::archive_entry_filetype(from) != AE_IFCHR && ::archive_entry_filetype(from) != AE_IFBLK) return;
  ::archive_entry_set_rdevmajor(to, ::archive_entry_rdevmajor(from));
  ::archive_entry_set_rdevminor(to, ::archive_entry_rdevminor(from));
}

void copy_attributes(archive_entry* from, archive_entry* to) {
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  ::archive_entry_xattr_reset(from);
  while (::archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK)
    if (name) ::archive_entry_xattr_add_entry(to, name, value, size);
}

// What an image can have, and nothing else: maps of holes, flags and the like stay behind.
Entry copy_of(archive_entry* from) {
  Entry to(::archive_entry_new());
  ::archive_entry_copy_pathname(to.get(), ::archive_entry_pathname(from));
  copy_kind(from, to.get());
  ::archive_entry_set_perm(to.get(), ::archive_entry_perm(from));
  ::archive_entry_set_uid(to.get(), ::archive_entry_uid(from));
  ::archive_entry_set_gid(to.get(), ::archive_entry_gid(from));
  if (const auto* user = ::archive_entry_uname(from)) ::archive_entry_copy_uname(to.get(), user);
  if (const auto* group = ::archive_entry_gname(from)) ::archive_entry_copy_gname(to.get(), group);
  ::archive_entry_set_mtime(to.get(), ::archive_entry_mtime(from), ::archive_entry_mtime_nsec(from));
  ::archive_entry_set_size(to.get(), is_file(from) ? ::archive_entry_size(from) : 0);
  copy_attributes(from, to.get());
  return to;
}

// --- reading ---

// Takes the compression off: one of two, or none.
class Unpacker {
 public:
  explicit Unpacker(int fd) : fd_(fd) {}

  Result<void> open() {
    const bool ready = archive_ && ::archive_read_support_filter_gzip(archive_.get()) == ARCHIVE_OK &&
                       ::archive_read_support_filter_bzip2(archive_.get()) == ARCHIVE_OK &&
                       ::archive_read_support_format_raw(archive_.get()) == ARCHIVE_OK &&
                       ::archive_read_support_format_empty(archive_.get()) == ARCHIVE_OK;
    if (!ready) return fail(Error::internal("libarchive lacks a compression"));
    archive_entry* entry = nullptr;
    if (::archive_read_open(archive_.get(), this, nullptr, &Unpacker::on_read, nullptr) != ARCHIVE_OK)
      return fail(refusal(text_of(archive_.get())));
    const int got = ::archive_read_next_header(archive_.get(), &entry);
    ended_ = got == ARCHIVE_EOF;
    if (got != ARCHIVE_OK && !ended_) return fail(refusal(text_of(archive_.get())));
    // Each layer can swell a thousand times; the engine takes off one.
    if (::archive_filter_count(archive_.get()) > 2)
      return fail(refusal("it is compressed more than once: send a tar, compressed once or not at all"));
    return {};
  }

  // What follows; empty at the end. Valid until the next call.
  Result<std::string_view> next() {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t at = 0;
    while (!ended_ && size == 0) {
      const int got = ::archive_read_data_block(archive_.get(), &bytes, &size, &at);
      ended_ = got == ARCHIVE_EOF;
      if (got != ARCHIVE_OK && !ended_) return fail(refusal(text_of(archive_.get())));
    }
    if (ended_) return std::string_view();
    return std::string_view(static_cast<const char*>(bytes), size);
  }

 private:
  static la_ssize_t on_read(archive* handle, void* self, const void** bytes) {
    auto& own = *static_cast<Unpacker*>(self);
    ssize_t got = -1;
    do {
      got = ::pread(own.fd_, own.buffer_.data(), own.buffer_.size(), own.at_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) ::archive_set_error(handle, errno, "read: %s", std::strerror(errno));
    if (got > 0) own.at_ += got;
    *bytes = own.buffer_.data();
    return got;
  }

  int fd_;
  off_t at_ = 0;
  bool ended_ = false;
  std::array<char, kPiece> buffer_{};
  Reader archive_{::archive_read_new()};
};

// Reads a tar's entries and their content, holes written out. Deterministic: a second one reads the same.
class Decoder {
 public:
  Decoder(int fd, std::uint64_t limit) : limit_(limit), unpacker_(fd) {}

  Result<void> open() {
    if (const auto opened = unpacker_.open(); !opened) return opened;
    allowance_ = kMostHeader;
    if (!archive_ || ::archive_read_support_format_tar(archive_.get()) != ARCHIVE_OK ||
        ::archive_read_support_format_empty(archive_.get()) != ARCHIVE_OK ||
        ::archive_read_open(archive_.get(), this, nullptr, &Decoder::on_read, nullptr) != ARCHIVE_OK)
      return fail(failure());
    return {};
  }

  // nullptr at the end. The content of the one before must have been read to its end.
  Result<archive_entry*> next() {
    archive_entry* entry = nullptr;
    allowance_ = kMostHeader;
    const int got = ::archive_read_next_header(archive_.get(), &entry);
    if (got == ARCHIVE_EOF) return nullptr;
    if (got != ARCHIVE_OK && !only_charset(got)) return fail(failure());
    if (++entries_ > kMostEntries)
      return fail(refusal("it has over " + std::to_string(kMostEntries) +
                          " entries: name what the build does not need in .dockerignore"));
    if (!has_usable_names(entry))
      return fail(refusal("an entry has no name or one of over " + std::to_string(kMostName) + " bytes: rename it"));
    start_content(entry);
    return entry;
  }

  // A piece of the entry's content, at most some 100 KiB; of what is no file it is empty. Nothing: that was all. Valid
  // until the next call.
  Result<std::optional<std::string_view>> content() {
    if (block_.empty() && !ended_)
      if (const auto read = read_block(); !read) return fail(read.error());
    if (!keep_) {
      block_ = {};
      return ended_ ? std::optional<std::string_view>() : std::string_view();
    }
    if (!ended_ && (block_at_ < position_ || block_at_ > size_ || block_.size() > size_ - block_at_))
      return fail(refusal("a file's content does not fit its size: pack it with another tar program"));
    std::string_view piece;
    if (const auto hole = (ended_ ? size_ : block_at_) - position_; hole > 0)
      piece = std::string_view(kZeros.data(), std::min<std::uint64_t>(hole, kZeros.size()));
    else if (!ended_)
      piece = std::exchange(block_, {});
    else
      return std::nullopt;
    position_ += piece.size();
    written_out_ += piece.size();
    if (written_out_ > limit_) return fail(over(limit_));
    return piece;
  }

 private:
  static constexpr std::array<char, kPiece> kZeros{};

  static la_ssize_t on_read(archive* handle, void* self, const void** bytes) {
    return static_cast<Decoder*>(self)->give(handle, bytes);
  }

  la_ssize_t give(archive* handle, const void** bytes) {
    const auto piece = unpacker_.next();
    if (!piece)
      error_ = piece.error();
    else if ((received_ += piece->size()) > limit_)
      error_ = over(limit_);
    else if (piece->size() > allowance_)
      error_ = refusal("an entry's header is too large: pack it without extended attributes or holes (tar --sparse)");
    if (error_) {
      ::archive_set_error(handle, EINVAL, "%s", error_->message.c_str());
      return -1;
    }
    allowance_ -= piece->size();
    *bytes = piece->data();
    return static_cast<la_ssize_t>(piece->size());
  }

  Error failure() const {
    if (error_) return *error_;
    return refusal("it can't be read as a tar archive (" + text_of(archive_.get()) +
                   "): send a tar, compressed with gzip or bzip2 or not at all");
  }

  // The warning that a name was kept as it is (PlainBytes). Others mean that something was left out.
  bool only_charset(int got) const {
    return got == ARCHIVE_WARN && text_of(archive_.get()).find("can't be converted") != std::string::npos;
  }

  static bool has_usable_names(archive_entry* entry) {
    const auto* name = ::archive_entry_pathname(entry);
    if (!name || *name == '\0' || std::strlen(name) > kMostName) return false;
    const auto* link = ::archive_entry_hardlink(entry);
    if (!link) link = ::archive_entry_symlink(entry);
    return !link || std::strlen(link) <= kMostName;
  }

  void start_content(archive_entry* entry) {
    keep_ = is_file(entry);
    size_ = static_cast<std::uint64_t>(std::max<la_int64_t>(0, ::archive_entry_size(entry)));
    position_ = 0;
    block_ = {};
    ended_ = false;
  }

  Result<void> read_block() {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t at = 0;
    while (size == 0) {
      allowance_ = kMostHeader;
      const int got = ::archive_read_data_block(archive_.get(), &bytes, &size, &at);
      ended_ = got == ARCHIVE_EOF;
      if (ended_) return {};
      if (got != ARCHIVE_OK) return fail(failure());
    }
    block_ = std::string_view(static_cast<const char*>(bytes), size);
    block_at_ = static_cast<std::uint64_t>(at);
    return {};
  }

  std::uint64_t limit_;
  Unpacker unpacker_;
  std::uint64_t received_ = 0;     // decompressed
  std::uint64_t written_out_ = 0;  // content, with holes
  std::size_t allowance_ = 0;      // what one call may still read
  int entries_ = 0;
  std::optional<Error> error_;  // of ours, behind libarchive's
  // The entry's content.
  bool keep_ = false;
  bool ended_ = true;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
  std::string_view block_;
  std::uint64_t block_at_ = 0;
  Reader archive_{::archive_read_new()};  // the first to go: it reads from us
};

// --- writing ---

class Encoder {
 public:
  Result<void> open() {
    auto* handle = writer_.get();
    // Names as bytes; attributes only as Go knows them. No blocks: what is written comes out at once.
    if (!handle || ::archive_write_set_format_pax(handle) != ARCHIVE_OK ||
        ::archive_write_set_options(handle, "hdrcharset=BINARY,xattrheader=SCHILY") != ARCHIVE_OK ||
        ::archive_write_set_bytes_per_block(handle, 0) != ARCHIVE_OK ||
        ::archive_write_set_bytes_in_last_block(handle, 1) != ARCHIVE_OK ||
        ::archive_write_open(handle, this, nullptr, &Encoder::on_write, nullptr) != ARCHIVE_OK)
      return failed();
    return {};
  }

  Result<void> start(archive_entry* entry) {
    if (::archive_write_header(writer_.get(), entry) != ARCHIVE_OK) return failed();
    return {};
  }

  Result<void> add(std::string_view content) {
    const auto wrote = ::archive_write_data(writer_.get(), content.data(), content.size());
    if (wrote != static_cast<la_ssize_t>(content.size())) return failed();
    return {};
  }

  Result<void> finish() {
    if (::archive_write_close(writer_.get()) != ARCHIVE_OK) return failed();
    return {};
  }

  std::size_t size() const { return out_.size(); }
  std::string take() { return std::exchange(out_, {}); }

 private:
  static la_ssize_t on_write(archive*, void* self, const void* bytes, std::size_t size) noexcept {
    static_cast<Encoder*>(self)->out_.append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  }

  Result<void> failed() const {
    return fail(
        refusal("an entry can't be passed on (" + std::string(trim(text_of(writer_.get()))) + "): leave it out"));
  }

  std::string out_;
  Writer writer_{::archive_write_new()};  // the first to go: it writes to us
};

// --- the file ---

Result<UniqueFd> make_file(const std::filesystem::path& folder) {
  UniqueFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  auto name = (folder / "build.XXXXXX").string();
  file = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
  if (!file)
    return fail(
        Error::unavailable("make a file for a build context in " + folder.string() + ": " + std::strerror(errno)));
  ::unlink(name.c_str());
  return file;
}

// What may be the Dockerfile: the last entry of its name.
struct Candidate {
  Entry entry;
  std::string text;
  std::string fault;  // why it isn't
};

}  // namespace

struct BuildArchive::State {
  State(UniqueFd file, std::string path, std::uint64_t most)
      : fd(std::move(file)), wanted(std::move(path)), limit(most) {}

  Result<void> write(std::string_view bytes);
  Result<void> look_for_room();
  Result<bool> scan_step();
  Result<void> write_step();
  Result<void> choose();
  Result<void> start_writing();
  Result<void> write_dockerfile();
  Result<void> look_at(archive_entry* entry);
  Result<void> try_writing(archive_entry* entry);
  Result<void> open_decoder();

  UniqueFd fd;
  std::string wanted;  // the Dockerfile's path, clean
  std::uint64_t limit;
  std::uint64_t size = 0;
  std::uint64_t looked_at = 0;  // the size, when there was room
  std::unique_ptr<Decoder> decoder;
  bool in_entry = false;
  Candidate asked;
  Candidate lower;              // "dockerfile", where the build names "Dockerfile" and there is none
  Candidate* taking = nullptr;  // whose text is being read
  Candidate* chosen = nullptr;
  std::unique_ptr<Encoder> trial;  // of scan()
  std::unique_ptr<Encoder> encoder;
  std::string_view left;  // of the Dockerfile, to be written
  bool written = false;
};

// The server's own database is on that disk, too.
Result<void> BuildArchive::State::look_for_room() {
  if (size < looked_at + kLookEvery) return {};
  looked_at = size;
  struct statvfs disk {};
  if (::fstatvfs(fd.get(), &disk) != 0 || disk.f_bavail >= kRoomLeft / disk.f_frsize) return {};
  return fail(Error::unavailable("keep a build context: the server's disk is nearly full. Tell its operator"));
}

Result<void> BuildArchive::State::write(std::string_view bytes) {
  if (bytes.size() > limit - size) return fail(over(limit));
  if (const auto room = look_for_room(); !room) return room;
  while (!bytes.empty()) {
    const auto wrote = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(size));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail(Error::unavailable(std::string("keep a build context: ") + std::strerror(errno)));
    size += static_cast<std::uint64_t>(wrote);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<void> BuildArchive::State::open_decoder() {
  decoder = std::make_unique<Decoder>(fd.get(), limit);
  return decoder->open();
}

Result<void> BuildArchive::State::look_at(archive_entry* entry) {
  const auto path = path_of(entry);
  const bool above = path.empty() || wanted.starts_with(path + "/");
  if (above && !is_folder(entry))
    return fail(refusal("the entry " + (path.empty() ? "/" : path) +
                        " lies above the Dockerfile and is no directory: name the Dockerfile by its own path"));
  taking = nullptr;
  Candidate* const found = path == wanted ? &asked : wanted == "Dockerfile" && path == "dockerfile" ? &lower : nullptr;
  if (!found) return {};
  *found = Candidate{.entry = copy_of(entry), .text = {}, .fault = {}};
  if (!is_file(entry))
    found->fault = "is not a regular file: give the Dockerfile itself, not a link";
  else if (::archive_entry_size(entry) > static_cast<la_int64_t>(kMostDockerfile))
    found->fault = "is over " + std::to_string(kMostDockerfile) + " bytes: make it smaller";
  else
    taking = found;
  return {};
}

// What can't be passed on is told before the first byte goes out. An owner below zero by ourselves: libarchive 3.6
// leaks its writer's state where it meets one.
Result<void> BuildArchive::State::try_writing(archive_entry* entry) {
  if (::archive_entry_uid(entry) < 0 || ::archive_entry_gid(entry) < 0)
    return fail(refusal("an entry has no owner that can be: leave it out"));
  if (!trial) {
    trial = std::make_unique<Encoder>();
    if (auto opened = trial->open(); !opened) return opened;
  }
  const auto copy = copy_of(entry);
  ::archive_entry_set_size(copy.get(), 0);
  auto started = trial->start(copy.get());
  trial->take();
  return started;
}

// False: there is no more.
Result<bool> BuildArchive::State::scan_step() {
  if (!in_entry) {
    const auto entry = decoder->next();
    if (!entry) return fail(entry.error());
    if (*entry == nullptr) return false;
    in_entry = true;
    if (const auto looked = look_at(*entry); !looked) return fail(looked.error());
    if (const auto tried = try_writing(*entry); !tried) return fail(tried.error());
    return true;
  }
  const auto piece = decoder->content();
  if (!piece) return fail(piece.error());
  in_entry = piece->has_value();
  if (in_entry && taking) taking->text += **piece;
  return true;
}

Result<void> BuildArchive::State::choose() {
  Candidate& found = asked.entry || !lower.entry ? asked : lower;
  if (!found.entry)
    return fail(refusal("it has no file " + wanted +
                        ", the Dockerfile: add it, and give its path in the context as the build's dockerfile (-f)"));
  if (!found.fault.empty()) return fail(refusal("the Dockerfile " + wanted + " " + found.fault));
  chosen = &found;
  decoder.reset();
  trial.reset();
  // Under the name asked for: a link elsewhere in the archive may lead another file to it ("x" -> ".", "x/Dockerfile").
  ::archive_entry_copy_pathname(found.entry.get(), wanted.c_str());
  ::archive_entry_set_size(found.entry.get(), static_cast<la_int64_t>(found.text.size()));
  return {};
}

// The engine tells compression by an archive's first bytes, which come of the first name: so that name is ours. It
// passes over an entry for the context itself.
Result<void> BuildArchive::State::start_writing() {
  if (auto opened = open_decoder(); !opened) return opened;
  encoder = std::make_unique<Encoder>();
  if (auto opened = encoder->open(); !opened) return opened;
  const Entry root(::archive_entry_new());
  ::archive_entry_copy_pathname(root.get(), "./");
  ::archive_entry_set_filetype(root.get(), AE_IFDIR);
  ::archive_entry_set_perm(root.get(), 0755);
  return encoder->start(root.get());
}

Result<void> BuildArchive::State::write_dockerfile() {
  const auto piece = left.substr(0, kPiece);
  left.remove_prefix(piece.size());
  if (auto added = encoder->add(piece); !added || !left.empty()) return added;
  written = true;
  return encoder->finish();
}

Result<void> BuildArchive::State::write_step() {
  if (!decoder) return write_dockerfile();
  if (in_entry) {
    const auto piece = decoder->content();
    if (!piece) return fail(piece.error());
    in_entry = piece->has_value();
    return in_entry ? encoder->add(**piece) : Result<void>();
  }
  const auto entry = decoder->next();
  if (!entry) return fail(entry.error());
  in_entry = *entry != nullptr;
  if (in_entry) return encoder->start(copy_of(*entry).get());
  decoder.reset();
  left = chosen->text;
  return encoder->start(chosen->entry.get());
}

BuildArchive::BuildArchive(std::unique_ptr<State> state) : state_(std::move(state)) {}
BuildArchive::BuildArchive(BuildArchive&&) noexcept = default;
BuildArchive& BuildArchive::operator=(BuildArchive&&) noexcept = default;
BuildArchive::~BuildArchive() = default;

Result<BuildArchive> BuildArchive::create(const std::filesystem::path& folder, std::string_view dockerfile,
                                          std::uint64_t limit) {
  auto path = clean(dockerfile.empty() ? "Dockerfile" : dockerfile);
  if (!path || path->empty() || path->size() > kMostName || path->find('\0') != std::string::npos)
    return fail(refusal("the Dockerfile's path " + std::string(dockerfile) +
                        " names no file in it: give a path relative to the context, without .."));
  auto file = make_file(folder);
  if (!file) return fail(file.error());
  return BuildArchive(std::make_unique<State>(std::move(*file), std::move(*path), limit));
}

Result<void> BuildArchive::write(std::string_view bytes) { return state_->write(bytes); }

Result<bool> BuildArchive::scan() {
  const PlainBytes guard;
  if (state_->chosen) return true;
  if (!state_->decoder)
    if (const auto opened = state_->open_decoder(); !opened) return fail(opened.error());
  for (int step = 0; step < kStepsAtOnce; ++step) {
    const auto more = state_->scan_step();
    if (!more) return fail(more.error());
    if (*more) continue;
    if (const auto chosen = state_->choose(); !chosen) return fail(chosen.error());
    return true;
  }
  return false;
}

const std::string& BuildArchive::dockerfile() const {
  static const std::string kNone;
  return state_->chosen ? state_->chosen->text : kNone;
}

Result<std::string> BuildArchive::next() {
  const PlainBytes guard;
  auto& state = *state_;
  if (!state.chosen) return fail(Error::internal("a build context is sent on before it was read"));
  if (!state.encoder)
    if (const auto started = state.start_writing(); !started) return fail(started.error());
  while (!state.written && state.encoder->size() < kAnswer)
    if (const auto done = state.write_step(); !done) return fail(done.error());
  return state.encoder->take();
}

}  // namespace ebbtide::gateway
