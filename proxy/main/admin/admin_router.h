#ifndef REMORA_PROXY_MAIN_ADMIN_ADMIN_ROUTER_H_
#define REMORA_PROXY_MAIN_ADMIN_ADMIN_ROUTER_H_

#include <string>

#include "proxy/base/loop.h"
#include "proxy/main/admin/admin_pages.h"
#include "proxy/stream/router.h"

namespace remora::proxy {

// Ends an exchange of the admin's connection manager: where traffic has the router with its
// upstream, admin has its pages. A page is rendered whole and handed down in pieces, as the client
// takes them.
//
// Threads: main's loop. Lifetime: that of a pooled Stream; the pages outlive every exchange.
class AdminRouter final : public Router, private Loop::TurnItem {
 public:
  explicit AdminRouter(AdminPages* pages) : pages_(pages) {}

  void OnRequestHeaders(RouterHost* host, Headers* headers, bool end, bool upgrade) override;
  void OnRequestBody(Body& body, bool end) override;
  void OnRequestTrailers(Headers* trailers) override;
  void PauseResponse() override { paused_ = true; }
  void ResumeResponse() override;
  void Cancel() override;

 private:
  // A form that is longer is not a form of ours.
  static constexpr size_t kMostBody = 64 * 1024;
  static constexpr size_t kPiece = 64 * 1024;

  void RunAtEndOfTurn() override;
  void Answer();
  void SendPieces();

  AdminPages* pages_;
  RouterHost* host_ = nullptr;
  AdminRequest request_;
  bool head_ = false;
  bool form_ = false;
  std::string form_body_;
  std::string page_;
  size_t sent_ = 0;
  bool answered_ = false;
  bool paused_ = false;
  bool sending_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ADMIN_ROUTER_H_
