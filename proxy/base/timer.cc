#include "proxy/base/timer.h"

#include <uv.h>

#include <algorithm>

namespace remora::proxy {
void Timer::Start(int64_t delay_ns) {
  // Rounded up, so that it never fires early.
  const int64_t delay_ms = delay_ns <= 0 ? 0 : (delay_ns + 999999) / 1000000;
  // One started by a timer that fires waits for the next turn, or both would never end.
  const int64_t due = wheel_->NowMs() + delay_ms + (delay_ms > 0 || wheel_->firing_);
  if (linked_) {
    if (due == due_ms_) return;
    wheel_->Unlink(this);
  }
  due_ms_ = due;
  wheel_->Link(this);
}

void Timer::Stop() {
  if (linked_) wheel_->Unlink(this);
}

TimerWheel::TimerWheel(uv_loop_s* loop) : loop_(loop), uv_timer_(new uv_timer_t) {
  uv_timer_init(loop_, uv_timer_);
  uv_timer_->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(uv_timer_));
  current_ms_ = NowMs();
}

TimerWheel::~TimerWheel() {
  uv_timer_stop(uv_timer_);
  uv_close(reinterpret_cast<uv_handle_t*>(uv_timer_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
}

// The loop's cached clock: no system call to start a timer.
int64_t TimerWheel::NowMs() const { return static_cast<int64_t>(uv_now(loop_)) + skipped_ms_; }

void TimerWheel::Skip(int64_t ms) {
  skipped_ms_ += ms;
  Advance();
}

void TimerWheel::Link(Timer* timer) {
  const int64_t due = std::max(timer->due_ms_, current_ms_);
  const int64_t ahead = due - current_ms_;
  int level = 0;
  while (level < kLevels - 1 && ahead >= (int64_t{1} << (kSlotBits * (level + 1)))) ++level;
  const auto slot = static_cast<uint16_t>((due >> (kSlotBits * level)) & (kSlots - 1));
  timer->level_ = static_cast<uint8_t>(level);
  timer->slot_ = slot;
  timer->linked_ = true;
  timer->prev_ = nullptr;
  timer->next_ = slots_[level][slot];
  if (timer->next_ != nullptr) timer->next_->prev_ = timer;
  slots_[level][slot] = timer;
  occupied_[level][slot / 64] |= uint64_t{1} << (slot % 64);
  ++armed_;
  if (!firing_ && (armed_for_ms_ < 0 || timer->due_ms_ < armed_for_ms_)) Arm();
}

void TimerWheel::Unlink(Timer* timer) {
  Timer*& head = slots_[timer->level_][timer->slot_];
  if (timer->prev_ != nullptr) timer->prev_->next_ = timer->next_;
  if (timer->next_ != nullptr) timer->next_->prev_ = timer->prev_;
  if (head == timer) head = timer->next_;
  if (head == nullptr)
    occupied_[timer->level_][timer->slot_ / 64] &= ~(uint64_t{1} << (timer->slot_ % 64));
  timer->prev_ = timer->next_ = nullptr;
  timer->linked_ = false;
  --armed_;
}

// The earliest moment at which a slot must be looked at: the next occupied slot of the lowest
// level, or the moment a higher level's slot is spread over the lower ones.
int64_t TimerWheel::NextDue() const {
  int64_t best = -1;
  for (int level = 0; level < kLevels; ++level) {
    const int shift = kSlotBits * level;
    const int64_t position = current_ms_ >> shift;
    // A higher level's current slot was spread when it was entered: what is in it now is a full
    // round ahead, behind all others.
    const int64_t first = level > 0 ? 1 : 0;
    for (int64_t step = first; step < kSlots + first; ++step) {
      const auto slot = static_cast<size_t>((position + step) & (kSlots - 1));
      const uint64_t word = occupied_[level][slot / 64];
      if (word == 0) {
        step += 63 - static_cast<int64_t>(slot % 64);
        continue;
      }
      if ((word >> (slot % 64) & 1) == 0) continue;
      const int64_t at = std::max((position + step) << shift, current_ms_);
      if (best < 0 || at < best) best = at;
      break;
    }
  }
  return best;
}

void TimerWheel::Arm() {
  const int64_t next = NextDue();
  armed_for_ms_ = next;
  if (next < 0) {
    uv_timer_stop(uv_timer_);
    return;
  }
  const int64_t delay = std::max<int64_t>(0, next - NowMs());
  uv_timer_start(
      uv_timer_, [](uv_timer_t* handle) { static_cast<TimerWheel*>(handle->data)->Advance(); },
      static_cast<uint64_t>(delay), 0);
}

void TimerWheel::Advance() {
  // uv_now() is the clock's milliseconds rounded down; callbacks see the same value.
  const int64_t now = NowMs();
  firing_ = true;
  while (true) {
    const int64_t next = NextDue();
    if (next < 0 || next > now) break;
    current_ms_ = std::max(current_ms_, next);
    // Spread what higher levels hold for this moment, the highest first.
    for (int level = kLevels - 1; level > 0; --level) {
      const int shift = kSlotBits * level;
      if ((current_ms_ & ((int64_t{1} << shift) - 1)) != 0) continue;
      const auto slot = static_cast<size_t>((current_ms_ >> shift) & (kSlots - 1));
      Timer* timer = slots_[level][slot];
      while (timer != nullptr) {
        Timer* following = timer->next_;
        Unlink(timer);
        Link(timer);
        timer = following;
      }
    }
    const auto slot = static_cast<size_t>(current_ms_ & (kSlots - 1));
    // Only what is due: a callback may start timers that land in the same slot a round later.
    while (Timer* timer = slots_[0][slot]) {
      if (timer->due_ms_ > current_ms_) break;
      Unlink(timer);
      timer->callback_(timer->owner_);
    }
  }
  current_ms_ = std::max(current_ms_, now);
  firing_ = false;
  Arm();
}

}  // namespace remora::proxy
