#ifndef REMORA_PROXY_NET_BYTE_STREAM_H_
#define REMORA_PROXY_NET_BYTE_STREAM_H_

#include <cstddef>

#include "filters/api/address.h"
#include "filters/api/body.h"

namespace remora::proxy {

// What one attempt to read or write came to.
struct IoResult {
  size_t bytes = 0;
  bool again = false;  // nothing more for now
  bool eof = false;    // reading: the peer will send no more
  int error = 0;       // errno of a broken stream
};

class ByteStreamEvents {
 public:
  virtual void OnReadable() = 0;
  // Also: a connect ended, one way or the other.
  virtual void OnWritable() = 0;
  // While readable was not watched: the peer closed or broke the stream. Told once; unread bytes
  // can still be read.
  virtual void OnPeerGone() {}

 protected:
  ~ByteStreamEvents() = default;
};

// Plug point: one end of a pair that carries bytes: a socket, or an in-memory pipe. Non-blocking.
//
// Threads: one loop. Reading and writing may be called from inside events; destroying may not.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Events from now on; nothing is watched yet.
  virtual void Attach(ByteStreamEvents* events) = 0;
  // Level-triggered interest; the peer's close is watched for in any case. Changing it within a
  // turn costs nothing until the turn ends.
  virtual void Watch(bool readable, bool writable) = 0;

  // A connect is under way; WatchWrite tells when it ended.
  virtual bool connecting() const = 0;
  // Ends connecting: 0, or the errno of the failure.
  virtual int FinishConnect() = 0;

  // The errno of a stream that is broken, 0 while it is not; resets it (SO_ERROR).
  virtual int PendingError() { return 0; }

  // One system call. Reads about `wish` bytes at most.
  virtual IoResult Read(Body& into, size_t wish) = 0;
  // One system call; what was written is consumed.
  virtual IoResult Write(Body& from) = 0;
  virtual void ShutdownWrite() = 0;
  // Idempotent. `reset`: unsent and unread bytes are dropped and the peer is told by RST.
  virtual void Close(bool reset) = 0;

  virtual Address local_address() const = 0;
  virtual Address remote_address() const = 0;
  // -1 for what is no socket.
  virtual int descriptor() const = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_BYTE_STREAM_H_
