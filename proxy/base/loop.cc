#include "proxy/base/loop.h"

#include <assert.h>
#include <time.h>
#include <uv.h>

#include "absl/base/optimization.h"

namespace remora::proxy {
namespace {

int64_t ReadClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

}  // namespace

// Head of the circular list of what is to be done at the end of the turn.
class Loop::Anchor final : public Loop::TurnItem {
 public:
  void RunAtEndOfTurn() override {}
};

void Loop::TurnItem::Unlink() {
  if (prev_ == nullptr) return;
  prev_->next_ = next_;
  next_->prev_ = prev_;
  prev_ = next_ = nullptr;
}

Loop::Loop()
    : uv_(std::make_unique<uv_loop_t>()),
      anchor_(std::make_unique<Anchor>()),
      prepare_(std::make_unique<uv_prepare_t>()) {
  uv_loop_init(uv_.get());
  anchor_->prev_ = anchor_->next_ = anchor_.get();
  timers_ = std::make_unique<TimerWheel>(uv_.get());
  // Prepare runs last before the loop waits again: the end of the turn.
  uv_prepare_init(uv_.get(), prepare_.get());
  prepare_->data = this;
  uv_prepare_start(prepare_.get(),
                   [](uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->EndTurn(); });
  UpdateNow();
}

Loop::~Loop() {
  EndTurn();
  uv_prepare_stop(prepare_.get());
  uv_close(reinterpret_cast<uv_handle_t*>(prepare_.get()), nullptr);
  timers_.reset();
  // Lets the close callbacks of whatever was closed before run.
  while (uv_run(uv_.get(), UV_RUN_NOWAIT) != 0) {
  }
  anchor_->prev_ = anchor_->next_ = nullptr;
  uv_loop_close(uv_.get());
}

void Loop::ReadClocks() const { now_ns_ = ReadClock(CLOCK_MONOTONIC); }

void Loop::UpdateNow() {
  uv_update_time(uv_.get());
  ReadClocks();
  wall_offset_ns_ = 0;
}

int64_t Loop::system_now_ns() {
  // The wall clock is read at most once a turn; jumps show from the next turn on.
  if (wall_offset_ns_ == 0) wall_offset_ns_ = ReadClock(CLOCK_REALTIME) - now_ns();
  return wall_offset_ns_ + now_ns_;
}

void Loop::AtEndOfTurn(TurnItem* item) {
  assert(OnThread());
  if (item->queued()) return;
  TurnItem* head = anchor_.get();
  item->prev_ = head->prev_;
  item->next_ = head;
  head->prev_->next_ = item;
  head->prev_ = item;
}

void Loop::EndTurn() {
  TurnItem* head = anchor_.get();
  do {
    while (head->next_ != head) {
      TurnItem* item = head->next_;
      item->Unlink();
      item->RunAtEndOfTurn();
    }
    graveyard_.Empty();
  } while (head->next_ != head);
  now_ns_ = 0;
  wall_offset_ns_ = 0;
}

void Loop::Run() {
  thread_ = std::this_thread::get_id();
  stopping_ = false;
  UpdateNow();
  while (!stopping_) uv_run(uv_.get(), UV_RUN_DEFAULT);
  EndTurn();
}

void Loop::RunOnce(bool wait) {
  thread_ = std::this_thread::get_id();
  UpdateNow();
  uv_run(uv_.get(), wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  EndTurn();
}

void Loop::Stop() {
  stopping_ = true;
  uv_stop(uv_.get());
}

bool Loop::OnThread() const {
  return thread_ == std::thread::id() || thread_ == std::this_thread::get_id();
}

}  // namespace remora::proxy
