// SessionCall: one call that the engine makes to the services of a BuildKit client, inside the client's session. The
// Dockerfiles that it fetches are read: a build gets none that takes what the job doesn't see. All else goes as it
// comes. A coroutine's local on the gateway's loop; the exchange and both connections outlive it.
#pragma once

#include "docker/gateway/build_reading.h"
#include "docker/gateway/exchange.h"
#include "docker/gateway/sent_files.h"
#include "docker/grpc/message.h"

namespace ebbtide::gateway {

class SessionCall {
 public:
  SessionCall(Exchange& exchange, std::shared_ptr<grpc::Stream> engine, grpc::Http2& client,
              std::shared_ptr<BuildReading> reading)
      : exchange_(exchange), engine_(std::move(engine)), client_(client), reading_(std::move(reading)) {}

  Task<void> run();

 private:
  Task<void> pass();
  Task<void> read_files();
  // Passes a message of the client's on; false after a refusal.
  Task<bool> pass_message(SentFiles& files, std::string message);
  Task<std::optional<Refusal>> admit(std::string dockerfile);
  std::shared_ptr<grpc::Stream> open();
  Task<void> refuse(Refusal refusal);

  Exchange& exchange_;
  std::shared_ptr<grpc::Stream> engine_;
  grpc::Http2& client_;
  std::shared_ptr<BuildReading> reading_;
  std::vector<std::string> dockerfiles_;  // that this call has sent
};

}  // namespace ebbtide::gateway
