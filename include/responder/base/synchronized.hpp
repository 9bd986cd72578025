// Data that can only be reached through its lock.
//
//   Synchronized<Queue> queue;
//   queue.lock()->push(1);                       // locked for one statement
//   auto held = queue.lock(); held.wait(stop, [&] { return !held->empty(); });
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace responder {

template <class T>
class Synchronized {
 public:
  Synchronized() = default;
  explicit Synchronized(T value) : value_(std::move(value)) {}

  class Held {
   public:
    explicit Held(Synchronized& owner) : owner_(&owner), lock_(owner.mutex_) {}

    T* operator->() { return &owner_->value_; }
    T& operator*() { return owner_->value_; }

    // Both wait until `ready` holds; false when `stop` was requested (or the time was up) and it still does not.
    template <class Ready>
    bool wait(std::stop_token stop, Ready ready) {
      return owner_->changed_.wait(lock_, std::move(stop), std::move(ready));
    }
    template <class Ready>
    bool wait_for(std::stop_token stop, std::chrono::milliseconds duration, Ready ready) {
      return owner_->changed_.wait_for(lock_, std::move(stop), duration, std::move(ready));
    }

   private:
    Synchronized* owner_;
    std::unique_lock<std::mutex> lock_;
  };

  Held lock() { return Held(*this); }
  void notify_one() { changed_.notify_one(); }
  void notify_all() { changed_.notify_all(); }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  T value_{};
};

}  // namespace responder
