#include "proxy/codec/http2_callbacks.h"

#include "proxy/codec/http2_session.h"
#include "proxy/codec/http2_stream.h"

namespace remora::proxy {

// The C functions that lead into Http2Session.
struct Http2Session::Callbacks {
  static Http2Session& Of(void* user) { return *static_cast<Http2Session*>(user); }

  static int BeginFrame(nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
    return Of(user).OnBeginFrame(*hd);
  }
  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Of(user).OnBeginHeaders(*frame);
  }
  static int Header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, uint8_t flags, void* user) {
    Of(user).OnHeader(frame->hd.stream_id, name, value, flags);
    return 0;
  }
  static int InvalidHeader(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*,
                           uint8_t, void* user) {
    Of(user).reader_.Reject();
    return 0;
  }
  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Of(user).OnFrame(*frame);
  }
  static int InvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int code, void* user) {
    return Of(user).OnInvalidFrame(*frame, code);
  }
  static int Data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                  void* user) {
    return Of(user).OnData(id, {reinterpret_cast<const char*>(data), size});
  }
  static int StreamClosed(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    return Of(user).OnStreamClosed(id, code);
  }
  static int BeforeFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool cancel = frame->hd.type == NGHTTP2_RST_STREAM && Of(user).ends_for_message_;
    return cancel ? NGHTTP2_ERR_CANCEL : 0;
  }
  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Of(user).OnFrameSent(*frame);
    return 0;
  }
  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t length,
                      nghttp2_data_source* source, void* user) {
    Of(user).WriteData(static_cast<Http2Stream*>(source->ptr), *frame, header, length);
    return 0;
  }
  static ssize_t ReadData(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void* user) {
    return Of(user).ReadBody(static_cast<Http2Stream*>(source->ptr), length, flags);
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, BeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, Header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, InvalidHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, FrameReceived);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, InvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, StreamClosed);
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, BeforeFrameSent);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, FrameSent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
    return callbacks;
  }
};

nghttp2_data_source_read_callback Http2Session::DataSource() { return Callbacks::ReadData; }

const nghttp2_session_callbacks* Http2Session::MakeCallbacks() { return Callbacks::Make(); }

const nghttp2_session_callbacks* Http2Callbacks() {
  static const nghttp2_session_callbacks* const callbacks = Http2Session::MakeCallbacks();
  return callbacks;
}

}  // namespace remora::proxy
