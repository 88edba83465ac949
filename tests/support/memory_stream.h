#ifndef REMORA_TESTS_SUPPORT_MEMORY_STREAM_H_
#define REMORA_TESTS_SUPPORT_MEMORY_STREAM_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "filters/api/body.h"
#include "proxy/base/loop.h"
#include "proxy/net/byte_stream.h"

namespace remora::testing {

class MemoryStream;

// A pipe in memory: one end is a ByteStream for the code under test, the other is worked by hand.
// Everything happens at the ends of turns of the loop, so one Loop::RunOnce(false) carries all
// bytes.
class FarEnd {
 public:
  // What has arrived since the last call.
  std::string Take();
  const Body& arrived() const { return arrived_; }
  void Drop() { arrived_.Clear(); }
  void Send(absl::string_view bytes);
  void SendEof();
  // The stream breaks with this errno.
  void Break(int error);
  // The near end's connect: until then it is under way.
  void Accept();
  void Refuse(int error);
  // How much the near end may still write (back-pressure).
  void set_room(size_t room);

  bool eof() const { return eof_; }        // the near end will send no more
  bool closed() const { return closed_; }  // the near end is closed
  bool reset() const { return reset_; }

 private:
  friend class MemoryStream;
  MemoryStream* near_ = nullptr;
  Body arrived_;
  Body to_near_;
  size_t room_ = SIZE_MAX;
  int error_ = 0;
  bool sent_eof_ = false;
  bool eof_ = false;
  bool closed_ = false;
  bool reset_ = false;
};

class MemoryStream final : public proxy::ByteStream, private proxy::Loop::TurnItem {
 public:
  MemoryStream(proxy::Loop* loop, std::shared_ptr<FarEnd> far, bool connecting);
  ~MemoryStream() override;

  void Attach(proxy::ByteStreamEvents* events) override { events_ = events; }
  void Watch(bool readable, bool writable) override;
  bool connecting() const override { return connecting_; }
  int FinishConnect() override;
  proxy::IoResult Read(Body& into, size_t wish) override;
  proxy::IoResult Write(Body& from) override;
  void ShutdownWrite() override { far_->eof_ = true; }
  void Close(bool reset) override;
  Address local_address() const override { return local_; }
  Address remote_address() const override { return remote_; }
  int descriptor() const override { return -1; }

  void set_addresses(const Address& local, const Address& remote) {
    local_ = local;
    remote_ = remote;
  }

 private:
  friend class FarEnd;
  void Stir();
  void RunAtEndOfTurn() override;
  bool HasNews() const;

  proxy::Loop* loop_;
  std::shared_ptr<FarEnd> far_;
  proxy::ByteStreamEvents* events_ = nullptr;
  Address local_;
  Address remote_;
  int connect_error_ = 0;
  bool connecting_;
  bool connect_ended_ = false;
  bool watch_read_ = false;
  bool watch_write_ = false;
  bool closed_ = false;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_MEMORY_STREAM_H_
