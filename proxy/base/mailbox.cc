#include "proxy/base/mailbox.h"

#include <uv.h>

#include <mutex>
#include <utility>
#include <vector>

#include "proxy/base/loop.h"

namespace remora::proxy {

// Held by the mailbox and, until libuv has closed it, by the async handle.
struct Mailbox::State {
  uv_async_t async;
  std::mutex mutex;
  std::vector<Letter> letters;
  bool closed = false;
};

Mailbox::Mailbox(Loop* loop) : state_(std::make_shared<State>()) {
  state_->async.data = state_.get();
  uv_async_init(loop->uv(), &state_->async, [](uv_async_t* handle) {
    auto* state = static_cast<State*>(handle->data);
    std::vector<Letter> letters;
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      letters.swap(state->letters);
    }
    for (Letter& letter : letters) {
      // A letter before it may have closed the mailbox.
      if (state->closed) return;
      letter();
    }
  });
}

Mailbox::~Mailbox() { Close(); }

void Mailbox::Send(Letter letter) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  if (state_->closed) return;
  state_->letters.push_back(std::move(letter));
  uv_async_send(&state_->async);
}

void Mailbox::Close() {
  std::vector<Letter> unopened;
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (state_->closed) return;
    state_->closed = true;
    unopened.swap(state_->letters);
  }
  auto* keep = new std::shared_ptr<State>(state_);
  state_->async.data = keep;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->async),
           [](uv_handle_t* handle) { delete static_cast<std::shared_ptr<State>*>(handle->data); });
}

}  // namespace remora::proxy
