#include "docker/gateway/sent_files.h"

#include <utility>

#include "buildkit.pb.h"

namespace ebbtide::gateway {
namespace {

constexpr std::uint32_t kMostNames = 1000;
constexpr std::uint64_t kMostBytes = 1 << 20;
constexpr std::string_view kIgnoreFile = ".dockerignore";

Error unreadable() { return Error::denied("the Dockerfile's folder can't be read as it is sent: use another client"); }
Error too_much() { return Error::denied("the Dockerfile's folder sends too much: 1 MiB is enough"); }

}  // namespace

Result<SentFiles::Step> SentFiles::take(std::string_view message) {
  buildkit::FilePacket packet;
  if (!packet.ParseFromArray(message.data(), static_cast<int>(message.size()))) return fail(unreadable());
  Step step;
  if (packet.type() == buildkit::FilePacket::STAT && packet.has_stat()) {
    // A link to it could make it the Dockerfile.
    if (packet.stat().link_name().find(kIgnoreFile) != std::string::npos) return fail(unreadable());
    if (std::string_view(packet.stat().path()).ends_with(kIgnoreFile)) ignore_files_.insert(names_);
    if (++names_ > kMostNames) return fail(too_much());
  } else if (packet.type() == buildkit::FilePacket::DATA) {
    auto& file = files_[packet.id()];
    if (file.whole) return fail(unreadable());
    file.whole = packet.data().empty();
    file.content += packet.data();
    bytes_ += packet.data().size();
    if (bytes_ > kMostBytes || files_.size() > kMostNames) return fail(too_much());
    if (!ignore_files_.contains(packet.id())) {
      step.id = packet.id();
      if (file.whole) step.file = std::exchange(file.content, {});
      return step;
    }
  }
  step.ends = packet.type() == buildkit::FilePacket::FIN;
  step.message = packet.SerializeAsString();
  return step;
}

std::vector<std::string> SentFiles::whole(std::uint32_t id, std::string content) {
  buildkit::FilePacket packet;
  packet.set_type(buildkit::FilePacket::DATA);
  packet.set_id(id);
  std::vector<std::string> messages;
  if (!content.empty()) {
    packet.set_data(std::move(content));
    messages.push_back(packet.SerializeAsString());
    packet.clear_data();
  }
  messages.push_back(packet.SerializeAsString());
  return messages;
}

std::string SentFiles::error(std::string message) {
  buildkit::FilePacket packet;
  packet.set_type(buildkit::FilePacket::ERROR);
  packet.set_data(std::move(message));
  return packet.SerializeAsString();
}

}  // namespace ebbtide::gateway
