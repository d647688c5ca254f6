// Intrusive reference counting: one word per object, one pointer per handle.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

namespace lamina {

class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  bool retain_if_alive() const {  // false: the last one has let go already
    std::uint32_t n = count_.load(std::memory_order_relaxed);
    while (n != 0)
      if (count_.compare_exchange_weak(n, n + 1, std::memory_order_relaxed)) return true;
    return false;
  }
  bool release() const { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }  // true: the last one let go
  std::uint32_t use_count() const { return count_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<std::uint32_t> count_{0};
};

// T says how it dies through `static void destroy(T*)`.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && p_->release()) T::destroy(p_);
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

// A counted object that is made when it is first asked for, by whichever thread asks first; it lives as long as its
// holder.
template <class T>
class Lazy {
 public:
  Lazy() = default;
  Lazy(const Lazy&) = delete;
  Lazy& operator=(const Lazy&) = delete;
  ~Lazy() {
    if (T* p = get(); p && p->release()) T::destroy(p);
  }
  T* get() const { return p_.load(std::memory_order_acquire); }  // null: not asked for yet
  template <class Make>
  T& get_or(Make make) {
    if (T* p = get()) return *p;
    Ref<T> made(make());
    T* first = nullptr;
    if (!p_.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel)) return *first;
    made->retain();
    return *made;
  }
  T& get_or_make() {
    return get_or([] { return new T; });
  }

 private:
  std::atomic<T*> p_{nullptr};
};

}  // namespace lamina
