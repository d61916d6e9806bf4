// EventFeed: the one unfiltered event stream of an engine (volume and network events bear no labels, so no
// filter can be used). It reconnects by itself, with since= the last event seen, backing off from 100 ms to 5
// s.
//
// It owns a thread, on which all callbacks run, one at a time: they may block, but while one does, events
// wait.
//   connected: the stream is open, and nothing that happens from now on will be missed: list now.
//   event:     one message, in the engine's order; events may repeat after a reconnection.
//   lost:      the stream ended; why is text for people. Called once for each loss.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "docker/engine/engine.h"

namespace ebbtide {

class EventFeed final : public EventSubscription {
 public:
  EventFeed(EngineAddress address, EventCallbacks callbacks);  // starts at once
  ~EventFeed() override;                                       // stops promptly and joins
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide
