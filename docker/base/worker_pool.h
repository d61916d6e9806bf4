// WorkerPool runs tasks on its own threads; tasks may block (engine calls, files). It owns every task handed
// to it: stop() refuses new ones, drops those that wait, and returns when those that run have ended. A task
// that throws is logged and counted as a fault of ours; the pool lives on. All functions: any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace ebbtide {

class WorkerPool {
 public:
  WorkerPool(std::string name, unsigned threads);
  ~WorkerPool();  // stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs task as soon as a thread is free, in order of submission. False once stopped.
  bool submit(std::function<void()> task);
  // Runs task after delay. False once stopped.
  bool submit_after(std::chrono::milliseconds delay, std::function<void()> task);
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ebbtide
