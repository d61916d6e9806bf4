// Exits with 0 only if temporaries inside co_await expressions are made and destroyed equally often.
// g++ 12.2 fails it: aggregate temporaries and capturing lambdas are bitwise copied into the frame.
#include <coroutine>
#include <exception>
#include <utility>

namespace {

int alive = 0;

struct Counted {
  Counted() {
    ++alive;
    self = this;
  }
  Counted(const Counted&) {
    ++alive;
    self = this;
  }
  Counted(Counted&&) noexcept {
    ++alive;
    self = this;
  }
  Counted& operator=(const Counted&) = default;
  ~Counted() {
    --alive;
    if (self != this) broken = true;
  }
  Counted* self;
  static inline bool broken = false;
};

struct Aggregate {
  Counted part;
  int number;
};

struct Task {
  struct promise_type {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().waiter ? h.promise().waiter : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
    std::coroutine_handle<> waiter;
  };
  explicit Task(std::coroutine_handle<promise_type> h) : handle(h) {}
  Task(Task&& other) noexcept : handle(std::exchange(other.handle, {})) {}
  ~Task() {
    if (handle) handle.destroy();
  }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
    handle.promise().waiter = h;
    return handle;
  }
  void await_resume() {}
  std::coroutine_handle<promise_type> handle;
};

Task take(Aggregate) { co_return; }
template <class F>
Task call(F f) {
  f();
  co_return;
}

Task everything(bool which) {
  Counted token;
  co_await take(Aggregate{Counted{}, 1});
  co_await call([token] { (void)token; });
  co_await take(which ? Aggregate{Counted{}, 2} : Aggregate{Counted{}, 3});
}

}  // namespace

int main() {
  {
    Task task = everything(true);
    task.handle.resume();
  }
  return alive == 0 && !Counted::broken ? 0 : 1;
}
