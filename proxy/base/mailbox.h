#ifndef REMORA_PROXY_BASE_MAILBOX_H_
#define REMORA_PROXY_BASE_MAILBOX_H_

#include <functional>
#include <memory>

namespace remora::proxy {

class Loop;

// The only door between threads: any thread may Send(), the letters are opened in order on the
// loop's thread. The one mutex of the process; never taken on the request path (a letter is sent
// when configuration, health or life cycle changes).
//
// Letters carry values, snapshots and hosts only. A letter not yet opened when the mailbox is
// destroyed is destroyed unopened, on the thread that destroys the mailbox.
class Mailbox {
 public:
  using Letter = std::function<void()>;

  explicit Mailbox(Loop* loop);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Any thread. After Close() letters are dropped.
  void Send(Letter letter);
  // The loop's thread: opens nothing further.
  void Close();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_MAILBOX_H_
