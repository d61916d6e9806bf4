#include "docker/base/worker_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

namespace ebbtide {
namespace {

using std::chrono::milliseconds;

TEST(WorkerPool, RunsTasksAndDelayedOnesAfterTheirTime) {
  WorkerPool pool("test", 2);
  std::promise<void> later;
  std::promise<void> now;
  EXPECT_TRUE(pool.submit_after(milliseconds(20), [&] { later.set_value(); }));
  EXPECT_TRUE(pool.submit([&] { now.set_value(); }));
  now.get_future().wait();
  later.get_future().wait();
}

TEST(WorkerPool, LivesOnAfterATaskThatThrows) {
  WorkerPool pool("test", 1);
  pool.submit([] { throw std::runtime_error("deliberate"); });
  std::promise<int> answer;
  pool.submit([&] { answer.set_value(7); });
  EXPECT_EQ(answer.get_future().get(), 7);
}

TEST(WorkerPool, StopWaitsForWhatRunsAndRefusesTheRest) {
  WorkerPool pool("test", 1);
  std::promise<void> started;
  std::promise<void> go_on;
  bool ended = false;
  bool ran = false;
  pool.submit([&] {
    started.set_value();
    go_on.get_future().wait();
    ended = true;
  });
  pool.submit([&] { ran = true; });
  started.get_future().wait();
  std::promise<void> stopping;
  auto stopped = std::async(std::launch::async, [&] {
    stopping.set_value();
    pool.stop();
  });
  stopping.get_future().wait();
  while (pool.submit([] {})) {
  }
  go_on.set_value();
  stopped.get();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(ran);
  EXPECT_FALSE(pool.submit([] {}));
}

}  // namespace
}  // namespace ebbtide
