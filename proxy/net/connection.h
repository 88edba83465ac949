#ifndef REMORA_PROXY_NET_CONNECTION_H_
#define REMORA_PROXY_NET_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/stream_info.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"
#include "proxy/net/byte_stream.h"
#include "proxy/net/transport.h"

namespace remora::proxy {

enum class CloseKind : uint8_t {
  kRemote,  // the peer closed (after its last byte was delivered) or reset
  kLocal,   // Close() was called
};

// What the user of a connection hears. Each call may Close() or bury the connection.
class ConnectionEvents {
 public:
  // The transport handshake ended (or, without one, the socket is connected).
  virtual void OnConnected() = 0;
  // New bytes are in connection.input(). `eof`: the peer will send no more (half-close), all bytes
  // are in input(). Called once more with eof when it arrives alone. Not called while reading is
  // paused.
  virtual void OnData(bool eof) = 0;
  // unsent() rose above the high watermark / fell below the low one (half of it).
  virtual void OnOutputBlocked() = 0;
  virtual void OnOutputDrained() = 0;
  // Everything given to output() is in the kernel.
  virtual void OnOutputEmpty() {}
  // The peer closed its sending side (or all of the stream) while reading was paused: an OnData
  // with eof will follow once reading goes on. A reset is told by OnClosed instead. At most once.
  virtual void OnPeerGone() {}
  // The connection is over; the last call. `reset`: it ended by an error (RST, failed write, failed
  // handshake), not by an orderly close.
  virtual void OnClosed(CloseKind kind, bool reset) = 0;

 protected:
  ~ConnectionEvents() = default;
};

// Who stands between a connection and its user (network filters).
class ConnectionGate {
 public:
  // New bytes are in input(), or the peer ended: false keeps them from the user, who hears of them
  // when the gate lets a later arrival pass. May take bytes out, and may close the connection.
  virtual bool Admit(bool eof) = 0;
  // The connection is over; called before the user hears of it.
  virtual void OnConnectionClosed() = 0;

 protected:
  ~ConnectionGate() = default;
};

// The id of a connection, downstream, upstream or the admin page's: all count together from 0 up.
// Any thread.
uint64_t TakeConnectionId();

// Bytes to and from one peer: a byte stream (socket) below, a transport (raw or TLS) between, the
// user above. Reads are level-triggered and paused by reason; writes collect in output() and leave
// in one write at the end of the turn.
//
// Threads: its loop's. Lifetime: owned by its user by unique_ptr, given up through
// loop.graveyard().Bury(). After OnClosed nothing is called any more.
class Connection final : public Mortal, private Loop::TurnItem, private ByteStreamEvents {
 public:
  // For an accepted or a connecting byte stream. `buffer_limit`: high watermark of unsent bytes and
  // of input taken in one go; 0 for none.
  Connection(Loop* loop, std::unique_ptr<ByteStream> stream, std::unique_ptr<Transport> transport,
             size_t buffer_limit);
  ~Connection() override;

  // Starts reading (and the handshake); events come in later turns only. May be called again by the
  // next user of a connection (listener filters hand it on): OnConnected and what input() holds
  // come anew.
  void Start(ConnectionEvents* events);
  // Dresses the connection otherwise; before a Start(). Bytes in input() then are wire bytes.
  void SetTransport(std::unique_ptr<Transport> transport);
  // Sent before anything of the transport's; before a Start().
  void SetPreface(std::string bytes) { preface_ = std::move(bytes); }
  // What a PROXY protocol header of the client's side said besides addresses and may be passed on:
  // TLVs as they stood on the wire.
  std::string& proxy_tlvs() { return proxy_tlvs_; }
  const std::string& proxy_tlvs() const { return proxy_tlvs_; }
  void SetEvents(ConnectionEvents* events) { events_ = events; }
  // Outlives the connection's end. Null: none.
  void SetGate(ConnectionGate* gate) { gate_ = gate; }

  Loop& loop() { return *loop_; }
  ConnectionInfo& info() { return info_; }
  const ConnectionInfo& info() const { return info_; }
  Transport& transport() { return *transport_; }
  ByteStream& stream() { return *stream_; }

  // Decrypted bytes not yet taken by the user.
  Body& input() { return input_; }
  // Where the user appends; call Flush() after it (cheap: queues one write for the end of the
  // turn).
  Body& output() { return output_; }
  void Flush();
  // Bytes appended and not yet in the kernel, ciphertext included.
  size_t unsent() const;

  // Reasons to stop reading; reading goes on when no reason is left.
  enum PauseReason : uint8_t { kPauseUser = 1, kPausePeer = 2 };
  void PauseReading(PauseReason reason);
  void ResumeReading(PauseReason reason);
  // Calls OnData at the end of this turn although nothing new arrived (input() was left over).
  void RedeliverInput();

  // Sends everything in output(), then shuts the sending side down (TLS: close_notify).
  void CloseWrite();
  // Sends everything, then closes. With `delay_ms` > 0 the closing side waits that long for the
  // peer's close after its FIN, so that a last response is not cut by a reset (delayed close).
  void CloseAfterFlush(int64_t delay_ms);
  // Closes now; what is unsent is lost. `reset`: by RST.
  void Close(bool reset = false);
  bool closed() const { return closed_; }
  bool closing() const { return close_after_flush_; }

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  // The same without what the transport adds.
  uint64_t plain_read() const { return plain_read_; }
  uint64_t plain_written() const { return plain_written_; }

 private:
  // ByteStreamEvents
  void OnReadable() override;
  void OnWritable() override;
  void OnPeerGone() override;
  void RunAtEndOfTurn() override;

  void FinishConnect();
  void BeginTransport();
  void NoteHandshake();
  // Reads once; false when the connection ended.
  bool ReadOnce();
  bool TakeWire();
  void Deliver();
  // Writes what there is; false when the connection ended.
  bool WriteOut();
  void AfterWrite();
  void FinishSending();
  void UpdateWatch();
  void Fail(int error);
  void End(CloseKind kind, bool reset);
  bool reading() const {
    if (!started_ || !connected_wire_ || read_eof_) return false;
    if (lingering_ || !begun_ || (!raw_ && !handshake_seen_)) return true;
    return paused_ == 0 && !input_full();
  }
  // More is not taken in before the user took some out.
  bool input_full() const { return buffer_limit_ > 0 && input_.size() >= buffer_limit_; }
  size_t read_limit() const;

  Loop* loop_;
  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<Transport> transport_;
  ConnectionEvents* events_ = nullptr;
  ConnectionGate* gate_ = nullptr;
  ConnectionInfo info_;
  Body input_;
  Body output_;
  Body wire_in_;   // ciphertext that was read; empty between turns
  Body wire_out_;  // ciphertext to be written
  Timer linger_timer_;
  size_t buffer_limit_;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  uint64_t plain_read_ = 0;
  uint64_t plain_written_ = 0;
  int64_t linger_ms_ = 0;
  uint8_t paused_ = 0;
  std::string failure_text_;  // of a connect that failed
  std::string preface_;
  std::string proxy_tlvs_;
  bool raw_;
  bool begun_ = false;  // the transport was started
  bool started_ = false;
  bool connected_wire_ = false;  // the byte stream stands
  bool handshake_seen_ = false;  // OnConnected was called
  bool read_eof_ = false;        // no more will come
  bool eof_told_ = false;
  bool redeliver_ = false;
  bool deliver_due_ = false;  // bytes arrived that the user was not told of (paused)
  bool want_write_ = false;
  bool blocked_ = false;
  bool close_write_ = false;
  bool write_closed_ = false;
  bool close_after_flush_ = false;
  bool lingering_ = false;
  bool closed_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_CONNECTION_H_
