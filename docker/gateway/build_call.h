// BuildCall: one call of BuildKit's API inside a client's POST /grpc, from its head to its end. A coroutine's local on
// the gateway's loop; the exchange and both connections outlive it.
#pragma once

#include "docker/gateway/build_message.h"
#include "docker/gateway/exchange.h"
#include "docker/grpc/message.h"

namespace ebbtide::gateway {

class BuildCall {
 public:
  // held: bytes of messages that all calls of the connection hold; must outlive this.
  BuildCall(Exchange& exchange, std::shared_ptr<grpc::Stream> client, grpc::Http2& engine, std::size_t& held);
  ~BuildCall() { held_ -= own_held_; }
  BuildCall(const BuildCall&) = delete;
  BuildCall& operator=(const BuildCall&) = delete;

  Task<void> run();

 private:
  Task<void> dispatch();
  Task<void> dispatch_checked();
  Task<void> pass();
  Task<void> inspect();
  Task<void> session();
  Task<void> solve(CheckedMessage checked);
  // All that the client sends; kTooLarge if it, or what all calls hold, is.
  Task<Result<std::string>> read();
  // The client's message as it may go on; nothing after an error, which has been answered.
  Task<std::optional<CheckedMessage>> check();
  Task<bool> are_own(std::vector<std::string> sessions);
  Task<std::optional<Refusal>> admit(const CheckedMessage& checked);
  std::vector<std::shared_ptr<BuildReading>> readings_of(const std::set<std::string>& sessions) const;
  Task<bool> record(std::vector<std::string> references);
  Task<std::optional<std::vector<std::string>>> present_images();
  // A call to the engine with our message in place of the client's.
  std::shared_ptr<grpc::Stream> open_with(grpc::Headers head);
  Task<std::shared_ptr<grpc::Stream>> send(std::string message);
  // The engine's answer to a build; the images that it tells of are written down before the client hears of them.
  Task<void> relay_result(grpc::Stream& engine, std::vector<std::string> before);
  Task<void> empty(bool stream);
  void fail_with(grpc::Code code, std::string_view message);
  void refuse(const Refusal& refusal);
  std::optional<grpc::Headers> engine_head();
  // For the metrics, and for the audit if it changed something or was refused.
  void note(AuditRecord record);

  Exchange& exchange_;
  Context& context_;
  std::shared_ptr<grpc::Stream> client_;
  grpc::Http2& engine_;
  std::size_t& held_;
  std::size_t own_held_ = 0;
  std::string path_;
  const BuildCallRoute* route_ = nullptr;
  grpc::Code code_ = grpc::Code::kOk;      // answered by us
  std::string rule_;                       // of a refusal
  std::vector<AuditObject> images_;        // that the build names
  std::vector<Exchange::Claim> recorded_;  // of them
};

}  // namespace ebbtide::gateway
