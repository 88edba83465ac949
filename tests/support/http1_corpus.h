#ifndef REMORA_TESTS_SUPPORT_HTTP1_CORPUS_H_
#define REMORA_TESTS_SUPPORT_HTTP1_CORPUS_H_

#include <string>
#include <vector>

namespace remora::proxy {

// Inputs of the classes F01 to F26 of the project's catalogue of hostile input, and beside each
// class the lawful requests that look most like them.
struct WireCase {
  std::string name;
  std::string wire;
  // Requests: the status that answers it, 0 when it must be accepted. Responses: 0 accepted, 502
  // not.
  int status = 0;
};

// One request each, hostile ones followed by a request that must not come to life.
std::vector<WireCase> RequestCases();
// The answer to a GET each.
std::vector<WireCase> ResponseCases();

}  // namespace remora::proxy

#endif  // REMORA_TESTS_SUPPORT_HTTP1_CORPUS_H_
