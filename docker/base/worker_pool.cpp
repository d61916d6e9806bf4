#include "docker/base/worker_pool.h"

#include <pthread.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "docker/base/log.h"

namespace ebbtide {

struct WorkerPool::State {
  using SteadyTime = std::chrono::steady_clock::time_point;

  std::string name;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  bool stopped = false;
  // By the time they are due; equal times keep their order.
  std::multimap<SteadyTime, std::function<void()>> due;
  std::vector<std::thread> threads;

  bool add(SteadyTime when, std::function<void()> task) {
    {
      const std::scoped_lock lock(mutex);
      if (stopped) return false;
      due.emplace(when, std::move(task));
    }
    changed.notify_one();
    return true;
  }

  // The next task that is due, waiting for it; nothing when stopped.
  std::function<void()> next() {
    std::unique_lock lock(mutex);
    while (!stopped) {
      if (due.empty()) {
        changed.wait(lock);
      } else if (const auto when = due.begin()->first; when > std::chrono::steady_clock::now()) {
        changed.wait_until(lock, when);
      } else {
        auto task = std::move(due.begin()->second);
        due.erase(due.begin());
        // Another thread may have been waiting for the time of this task only.
        if (!due.empty()) changed.notify_one();
        return task;
      }
    }
    return nullptr;
  }

  void run() {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    while (auto task = next()) {
      try {
        task();
      } catch (const std::exception& fault) {
        log_error("a background task failed: this is a fault of ebbtide", {{"pool", name}, {"what", fault.what()}});
      }
    }
  }
};

WorkerPool::WorkerPool(std::string name, unsigned threads) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  for (unsigned i = 0; i < threads; ++i) state_->threads.emplace_back([state = state_.get()] { state->run(); });
}

WorkerPool::~WorkerPool() { stop(); }

bool WorkerPool::submit(std::function<void()> task) {
  return state_->add(std::chrono::steady_clock::now(), std::move(task));
}

bool WorkerPool::submit_after(std::chrono::milliseconds delay, std::function<void()> task) {
  return state_->add(std::chrono::steady_clock::now() + delay, std::move(task));
}

void WorkerPool::stop() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stopped = true;
    state_->due.clear();
  }
  state_->changed.notify_all();
  for (auto& thread : state_->threads)
    if (thread.joinable()) thread.join();
}

}  // namespace ebbtide
