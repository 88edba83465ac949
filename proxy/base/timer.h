#ifndef REMORA_PROXY_BASE_TIMER_H_
#define REMORA_PROXY_BASE_TIMER_H_

#include <cstddef>
#include <cstdint>

struct uv_loop_s;
struct uv_timer_s;

namespace remora::proxy {

class TimerWheel;

// A one-shot timer inside its owner; destroying or stopping it cancels it, after that it never
// fires. Starting and stopping link and unlink, they never allocate and never make a system call.
// Precision: a millisecond; a timer never fires early.
//
//   Timer idle_{&loop.timers(), [](void* self) { static_cast<X*>(self)->OnIdle(); }, this};
class Timer {
 public:
  using Callback = void (*)(void* owner);

  Timer(TimerWheel* wheel, Callback callback, void* owner)
      : wheel_(wheel), callback_(callback), owner_(owner) {}
  ~Timer() { Stop(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // (Re)starts: fires once, `delay_ns` from the loop's now. A delay <= 0 fires in the next turn.
  void Start(int64_t delay_ns);
  void StartMs(int64_t delay_ms) { Start(delay_ms * 1000000); }
  void Stop();
  bool armed() const { return linked_; }

 private:
  friend class TimerWheel;
  TimerWheel* wheel_;
  Callback callback_;
  void* owner_;
  int64_t due_ms_ = 0;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  uint16_t slot_ = 0;
  uint8_t level_ = 0;
  bool linked_ = false;
};

// Hierarchical timing wheel (Varghese and Lauck 1987, scheme 6) over one uv timer: O(1) to start
// and stop. Re-starting a timer that is pushed forward again and again (idle timeouts) is cheap.
// Threads: the loop's.
class TimerWheel {
 public:
  explicit TimerWheel(uv_loop_s* loop);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  size_t armed() const { return armed_; }
  // For tests: lets so much time pass at once, and fires what is due then.
  void Skip(int64_t ms);

 private:
  friend class Timer;
  static constexpr int kLevels = 5;
  static constexpr int kSlotBits = 8;
  static constexpr int kSlots = 1 << kSlotBits;

  void Link(Timer* timer);
  void Unlink(Timer* timer);
  void Advance();
  void Arm();
  int64_t NextDue() const;
  int64_t NowMs() const;

  uv_loop_s* loop_;
  uv_timer_s* uv_timer_;
  int64_t skipped_ms_ = 0;
  int64_t current_ms_ = 0;
  int64_t armed_for_ms_ = -1;
  size_t armed_ = 0;
  bool firing_ = false;
  Timer* slots_[kLevels][kSlots] = {};
  uint64_t occupied_[kLevels][kSlots / 64] = {};
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_TIMER_H_
