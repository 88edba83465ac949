#ifndef REMORA_PROXY_CODEC_HTTP2_ENTRY_H_
#define REMORA_PROXY_CODEC_HTTP2_ENTRY_H_

#include "proxy/codec/http2_session.h"

namespace remora::proxy {

// Marks that nghttp2 is entered; when the outermost entry ends, what was submitted is written.
class Http2Session::Entry {
 public:
  explicit Entry(Http2Session* session) : session_(session) { ++session_->depth_; }
  ~Entry() {
    if (session_->depth_ == 1) session_->Pump();
    --session_->depth_;
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  // What is submitted now is not written before this entry ends, so its text must be copied.
  bool deferred() const { return session_->depth_ > 1 || session_->output_blocked_; }

 private:
  Http2Session* session_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_ENTRY_H_
