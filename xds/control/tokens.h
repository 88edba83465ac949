// Join tokens: the secret by which a node shows whose it is when it first
// calls. Only their SHA-256 is kept; the token itself goes into one file for
// the node, or into its bootstrap.
#ifndef REMORA_XDS_CONTROL_TOKENS_H_
#define REMORA_XDS_CONTROL_TOKENS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/control/state_dir.h"

namespace remora::control {

class Tokens {
 public:
  explicit Tokens(StateDir state) : state_(std::move(state)) {}

  // Makes a token of 256 random bits for the service or gateway and remembers
  // its hash beside those it already has, so that nodes can change over.
  absl::StatusOr<std::string> Create(absl::string_view name) const;

  // Whether `token` was made for `name`. Reads the disk, so a token that
  // `remora control token` has just made is known at once, and one whose hash
  // was taken out is refused. Takes the same time for every wrong token.
  bool Verify(absl::string_view name, absl::string_view token) const;

  // Where the hashes of `name` are: "tokens/NAME", a line each.
  static std::string FileOf(absl::string_view name);

 private:
  StateDir state_;
};

// A name that may stand in a SPIFFE id and in a file name.
bool IsNodeName(absl::string_view name);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_TOKENS_H_
