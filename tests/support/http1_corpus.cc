#include "tests/support/http1_corpus.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace remora::proxy {
namespace {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace): "..."s keeps NUL

std::string Crlf(const std::string& text) { return absl::StrReplaceAll(text, {{"\n", "\r\n"}}); }

// Adds requests made of a start line and fields; the line ends are written out.
class Adder {
 public:
  explicit Adder(std::vector<WireCase>* cases) : cases_(cases) {}

  void Raw(const std::string& name, int status, const std::string& wire) {
    cases_->push_back({name, wire, status});
  }
  // `fields` in readable form, without the final empty line.
  void Get(const std::string& name, int status, const std::string& fields) {
    Raw(name, status, Crlf("GET / HTTP/1.1\nHost: a\n" + fields + "\n\n"));
  }
  void Post(const std::string& name, int status, const std::string& fields,
            const std::string& body) {
    Raw(name, status, Crlf("POST / HTTP/1.1\nHost: a\n" + fields + "\n\n") + body);
  }
  void Line(const std::string& name, int status, const std::string& line) {
    Raw(name, status, line + "\r\nHost: a\r\n\r\n");
  }

 private:
  std::vector<WireCase>* cases_;
};

void AddFraming(Adder& add) {
  const std::string chunks = "0\r\n\r\n";
  add.Post("F01 length then chunked", 400, "Content-Length: 5\nTransfer-Encoding: chunked", chunks);
  add.Post("F01 chunked then length", 400, "Transfer-Encoding: chunked\nContent-Length: 5", chunks);
  add.Post("F01 neighbour", 0, "Transfer-Encoding: chunked", chunks);
  const char* const encodings[] = {
      ",chunked", "xchunked", "chunked, identity", "gzip, chunked", "chunked,chunked",
      "identity", "",         "chunked;a=b",       "\"chunked\"",   "chunked,",
      "chun ked"};
  for (const char* encoding : encodings) {
    add.Post(absl::StrCat("F02 ", encoding), 501, absl::StrCat("Transfer-Encoding: ", encoding),
             chunks);
  }
  add.Post("F02 vertical tab", 400,
           "Transfer-Encoding: \x0b"
           "chunked",
           chunks);
  add.Post("F02 nbsp", 501,
           "Transfer-Encoding: \xa0"
           "chunked",
           chunks);
  add.Post("F02 repeated", 501, "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", chunks);
  add.Raw("F02 on 1.0", 426,
          "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  add.Post("F02 neighbour", 0, "Transfer-Encoding:\t CHUNKED  ", chunks);
  const char* const lengths[] = {"",
                                 "+1",
                                 "0x1",
                                 "1 2",
                                 "1_0",
                                 "-1",
                                 "010",
                                 "1, 1",
                                 "1.0",
                                 "1e1",
                                 "18446744073709551616",
                                 "9223372036854775808",
                                 "99999999999999999999",
                                 "1;a"};
  for (const char* length : lengths) {
    add.Post(absl::StrCat("F05 ", length), 400, absl::StrCat("Content-Length: ", length), "x");
  }
  add.Post("F05 equal pair", 400, "Content-Length: 1\nContent-Length: 1", "x");
  add.Post("F05 unequal pair", 400, "Content-Length: 1\nContent-Length: 2", "xx");
  add.Post("F05 neighbour", 0, "Content-Length: 1", "x");
  add.Post("F05 zero", 0, "Content-Length: 0", "");
  add.Post("F05 long", 0, "Content-Length:  12 ", "twelve bytes");
}

void AddFields(Adder& add) {
  add.Get("F03 fold", 400, "X: a\n b");
  add.Get("F03 fold with tab", 400, "X: a\n\tb");
  add.Post("F03 fold on encoding", 400, "Transfer-Encoding:\n chunked", "0\r\n\r\n");
  add.Raw("F03 fold first", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n");
  add.Post("F03 space before length", 400, "X: y\n Content-Length: 5", "hello");
  add.Get("F03 neighbour", 0, "X: a b");
  add.Get("F04 space before colon", 400, "X : a");
  add.Get("F04 tab before colon", 400, "X\t: a");
  add.Post("F04 length with space before colon", 400, "Content-Length : 1", "x");
  add.Get("F04 neighbour", 0, "X:\t a \t ");
  add.Get("F06 empty name", 400, ": x");
  add.Get("F06 no colon", 400, "nocolon");
  add.Get("F06 name over lines", 400, "na\nme: x");
  add.Get("F06 neighbour", 0, "x:");
  for (const size_t size : {size_t{255}, size_t{256}, size_t{270}, size_t{4096}}) {
    add.Get(absl::StrCat("F07 name of ", size), 0, std::string(size, 'n') + ": v");
  }
  add.Get("F07 name of 65535", 431, std::string(65535, 'n') + ": v");
  add.Raw("F08 cr after colon", 400, "GET / HTTP/1.1\r\nHost: a\r\nX:\rContent-Length: 5\r\n\r\n");
  add.Raw("F08 cr in value", 400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n");
  add.Raw("F08 cr in line", 400, "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n");
  add.Raw("F08 crlf cr x", 400, "GET / HTTP/1.1\r\nHost: a\r\n\rX: GET /b HTTP/1.1\r\n\r\n");
  add.Raw("F08 crcrlf", 400, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n");
  add.Raw("F08 lone cr first", 400, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  add.Raw("F09 lf only", 400, "GET / HTTP/1.1\nHost: a\n\n");
  add.Raw("F09 lf in fields", 400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n");
  add.Raw("F09 lf at the end", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n");
  add.Raw("F09 blank lines first", 0, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int c = 0; c < 0x20; ++c) {
    if (c == '\t' || c == '\n' || c == '\r') continue;
    const std::string s(1, static_cast<char>(c));
    add.Get(absl::StrCat("F13 value ", c), 400, "X: a" + s + "b");
    add.Get(absl::StrCat("F13 name ", c), 400, "X" + s + "Y: b");
    add.Line(absl::StrCat("F13 path ", c), 400, "GET /a" + s + "b HTTP/1.1");
  }
  add.Get("F13 del in value", 400,
          "X: a\x7f"
          "b");
  add.Get("F13 neighbour", 0, "X: a\tb\xe4\xff");
  for (const char c : "\"(),/;<=>?@[\\]{} \x80\xff"s) {
    add.Get(absl::StrCat("name with ", static_cast<int>(c)), 400, "X"s + c + "Y: b");
  }
}

void AddChunks(Adder& add) {
  const char* const bad[] = {"0x1\r\nx\r\n0\r\n\r\n",
                             "-1\r\nx\r\n0\r\n\r\n",
                             " 1\r\nx\r\n0\r\n\r\n",
                             "1 \r\nx\r\n0\r\n\r\n",
                             "1 ;a\r\nx\r\n0\r\n\r\n",
                             "\r\nx\r\n0\r\n\r\n",
                             ";a\r\nx\r\n0\r\n\r\n",
                             "00000000000000001\r\nx\r\n0\r\n\r\n",
                             "ffffffffffffffff\r\nx\r\n0\r\n\r\n",
                             "8000000000000000\r\nx\r\n0\r\n\r\n",
                             "1;a\nb\r\nx\r\n0\r\n\r\n",
                             "1;a\rb\r\nx\r\n0\r\n\r\n",
                             "1;\x01\r\nx\r\n0\r\n\r\n",
                             "1;\xff\r\nx\r\n0\r\n\r\n",
                             "1\rX\r\nx\r\n0\r\n\r\n",
                             "1\r\nxXX0\r\n\r\n",
                             "1\r\nx0\r\n\r\n",
                             "1\r\nxx\r\n0\r\n\r\n",
                             "1\nx\n0\n\n",
                             "1\r\nx\n0\r\n\r\n",
                             "1\r\nx\r\n0\r\n\n",
                             "1\r\nx\r\n0\r\nX: a\r\n b\r\n\r\n",
                             "1\r\nx\r\n0\r\nX : a\r\n\r\n",
                             "g\r\n\r\n0\r\n\r\n"};
  for (const char* body : bad) {
    add.Post(absl::StrCat("F10 ", body), 400, "Transfer-Encoding: chunked", body);
  }
  add.Post("F10 long extension", 400, "Transfer-Encoding: chunked",
           "1;" + std::string(5000, 'e') + "\r\nx\r\n0\r\n\r\n");
  add.Post("F10 neighbour", 0, "Transfer-Encoding: chunked",
           "a;n=v\r\n0123456789\r\n000F\r\n012345678901234\r\n0;last\r\n\r\n");
  std::string tiny;
  for (int i = 0; i < 30000; ++i) tiny += "1\r\nx\r\n";
  add.Post("F11 one-byte chunks", 400, "Transfer-Encoding: chunked", tiny + "0\r\n\r\n");
  std::string extended;
  for (int i = 0; i < 200; ++i) extended += "1;" + std::string(1024, 'e') + "\r\nx\r\n";
  add.Post("F11 extensions", 400, "Transfer-Encoding: chunked", extended + "0\r\n\r\n");
  add.Post("F11 trailers of 64 KiB", 431, "Transfer-Encoding: chunked",
           "0\r\nX: " + std::string(65536, 't') + "\r\n\r\n");
  std::string small;
  for (int i = 0; i < 10000; ++i) small += "10\r\n0123456789abcdef\r\n";
  add.Post("F11 neighbour", 0, "Transfer-Encoding: chunked", small + "0\r\n\r\n");
}

void AddTargets(Adder& add) {
  add.Raw("F14 two hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
  for (const char* host : {"a,b", "u@a", "a b", "a:b:c", "a:x", "a:99999", "a/b", "a?b", "a\\b",
                           "[::1", "[]", "::1", "a#", "\"a\"", ":80", "a:80:"}) {
    add.Raw(absl::StrCat("F14 ", host), 400,
            absl::StrCat("GET / HTTP/1.1\r\nHost: ", host, "\r\n\r\n"));
  }
  for (const char* host : {"a", "a:80", "a:", "[::1]", "[::1]:80", "A.b-c_d", "1.2.3.4", "a%20b"}) {
    add.Raw(absl::StrCat("F14 neighbour ", host), 0,
            absl::StrCat("GET / HTTP/1.1\r\nHost: ", host, "\r\n\r\n"));
  }
  add.Line("F15 absolute", 0, "GET http://b/x HTTP/1.1");
  add.Line("F15 no path", 0, "GET http://b HTTP/1.1");
  add.Line("F15 only a query", 0, "GET http://b?x=1 HTTP/1.1");
  add.Line("F15 at in path", 0, "GET http://a/b@c/ HTTP/1.1");
  add.Line("F15 userinfo", 400, "GET http://u@b/ HTTP/1.1");
  add.Line("F15 no authority", 400, "GET http:///x HTTP/1.1");
  add.Line("F15 other scheme", 400, "GET ftp://b/ HTTP/1.1");
  add.Line("F16 asterisk", 400, "GET * HTTP/1.1");
  add.Line("F16 asterisk of options", 0, "OPTIONS * HTTP/1.1");
  add.Line("F16 no slash", 400, "GET admin HTTP/1.1");
  add.Line("F16 connect with path", 400, "CONNECT / HTTP/1.1");
  add.Line("F16 connect without port", 400, "CONNECT b HTTP/1.1");
  add.Line("F16 raw byte", 400, "GET /\xff HTTP/1.1");
  add.Line("F16 tab", 400, "GET\t/ HTTP/1.1");
  add.Line("F16 two spaces", 400, "GET  / HTTP/1.1");
  add.Line("F16 space in path", 400, "GET /a b HTTP/1.1");
  add.Line("F16 leading space", 400, " GET / HTTP/1.1");
  add.Line("F16 neighbour", 0, "GET /%ff?a=b&c=[d]|e HTTP/1.1");
  add.Raw("F17 0.9", 426, "GET /\r\n\r\n");
  add.Line("F17 1.2", 426, "GET / HTTP/1.2");
  add.Line("F17 2.0", 426, "GET / HTTP/2.0");
  add.Line("F17 1.32", 400, "GET / HTTP/1.32");
  add.Line("F17 trailing space", 400, "GET / HTTP/1.1 ");
  add.Line("F17 lower case", 400, "GET / http/1.1");
  add.Line("F17 other protocol", 400, "GET / ICE/1.1");
  add.Line("F17 odd method", 400, "G=\"<>\" / HTTP/1.1");
  add.Line("F17 unknown method", 400, "BREW / HTTP/1.1");
  add.Line("F17 lower-case method", 400, "get / HTTP/1.1");
  add.Raw("F17 preface", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  add.Raw("TLS on a plain port", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s);
}

void AddUpgrades(Adder& add) {
  add.Get("F19 nominated forwarding", 400, "X-Forwarded-For: 1\nConnection: x-forwarded-for");
  add.Get("F19 nominated others", 0,
          "Authorization: a\nX-Internal: b\n"
          "Connection: authorization, x-internal");
  add.Get("F19 too many", 400, "Connection: a,b,c,d,e,f,g,h,i,j");
  add.Get("F19 nine", 0, "Connection: a,b,c,d,e,f,g,h,i");
  add.Post("F18 websocket with a body", 400,
           "Connection: upgrade\nUpgrade: websocket\nContent-Length: 2", "hi");
  add.Post("F18 websocket with chunks", 400,
           "Connection: upgrade\nUpgrade: websocket\nTransfer-Encoding: chunked", "0\r\n\r\n");
  add.Post("F26 h2c with a body", 0, "Connection: upgrade\nUpgrade: h2c\nContent-Length: 2", "hi");
  add.Get("upgrade not nominated", 0, "Upgrade: websocket");
  add.Raw("F20 connect with length", 400,
          "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\nContent-Length: 1\r\n\r\nx");
  add.Raw("F20 connect with chunks", 400,
          "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

std::string Fields(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) absl::StrAppend(&text, "x", i, ": y\n");
  text.pop_back();
  return text;
}

void AddLimits(Adder& add) {
  add.Get("F25 100 fields", 0, Fields(99));
  add.Get("F25 101 fields", 431, Fields(100));
  add.Get("F25 1000 fields", 431, Fields(1000));
  add.Line("F25 long target", 431, "GET /" + std::string(70000, 'u') + " HTTP/1.1");
  add.Raw("F25 target at the limit", 0,
          "GET /" + std::string(60 * 1024 - 6, 'u') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  add.Raw("F25 target counts", 431,
          "GET /" + std::string(60 * 1024 - 5, 'u') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  add.Get("F25 value at the limit", 0, "x: " + std::string(60 * 1024 - 7, 'v'));
  add.Get("F25 value over the limit", 431, "x: " + std::string(60 * 1024 - 6, 'v'));
  add.Get("F25 blanks", 431, "x: " + std::string(70 * 1024, ' ') + "v");
  add.Raw("endless line", 431, "GET /" + std::string(100000, 'u'));
  add.Raw("control behind the limit", 431, "GET /" + std::string(100000, 'u') + "\x01");
  add.Raw("control before the limit", 400, "GET /" + std::string(1000, 'u') + "\x01");
}

}  // namespace

std::vector<WireCase> RequestCases() {
  std::vector<WireCase> cases;
  Adder add(&cases);
  AddFraming(add);
  AddFields(add);
  AddChunks(add);
  AddTargets(add);
  AddUpgrades(add);
  AddLimits(add);
  return cases;
}

std::vector<WireCase> ResponseCases() {
  std::vector<WireCase> cases;
  Adder add(&cases);
  const auto response = [&](const char* name, int status, const std::string& head,
                            const std::string& body = "") {
    add.Raw(name, status, Crlf(head + "\n\n") + body);
  };
  const std::string ok = "HTTP/1.1 200 OK\n";
  response("plain", 0, ok + "Content-Length: 2", "hi");
  response("no reason", 0, "HTTP/1.1 200\nContent-Length: 2", "hi");
  response("empty reason", 0, "HTTP/1.1 200 \nContent-Length: 2", "hi");
  response("1.0", 0, "HTTP/1.0 200 OK\nContent-Length: 2", "hi");
  response("chunked", 0, ok + "Transfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n");
  response("interim first", 0,
           "HTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\n"
           "Content-Length: 2",
           "hi");
  response("304 with length", 0, "HTTP/1.1 304 Not Modified\nContent-Length: 10");
  response("204", 0, "HTTP/1.1 204 No Content");
  response("204 with zero", 0, "HTTP/1.1 204 No Content\nContent-Length: 0");
  response("F01", 502, ok + "Transfer-Encoding: chunked\nContent-Length: 2", "0\r\n\r\n");
  response("F02 list", 502, ok + "Transfer-Encoding: gzip, chunked", "0\r\n\r\n");
  response("F02 on 1.0", 502, "HTTP/1.0 200 OK\nTransfer-Encoding: chunked", "0\r\n\r\n");
  response("F03", 502, ok + "X: a\n b\nContent-Length: 0");
  response("F04", 502, ok + "X : a\nContent-Length: 0");
  response("F05 pair", 502, ok + "Content-Length: 2\nContent-Length: 2", "hi");
  response("F05 sign", 502, ok + "Content-Length: +2", "hi");
  response("F06", 502, ok + ": a");
  add.Raw("F08 cr in reason", 502, "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n");
  add.Raw("F09", 502, "HTTP/1.1 200 OK\nContent-Length: 0\n\n");
  add.Raw("F22 lf in value", 502, "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n");
  response("F10", 502, ok + "Transfer-Encoding: chunked", "2\r\nhiXX0\r\n\r\n");
  response("F13", 502,
           ok + "X: a\x01"
                "b");
  response("F22 short status", 502, "HTTP/1.1 20 OK");
  response("F22 long status", 502, "HTTP/1.1 2000 OK");
  response("F22 status 099", 502, "HTTP/1.1 099 OK");
  response("F22 status 600", 502, "HTTP/1.1 600 OK");
  response("F22 status of letters", 502, "HTTP/1.1 2x0 OK");
  response("F22 two spaces", 502, "HTTP/1.1  200 OK");
  response("F22 1.2", 502, "HTTP/1.2 200 OK");
  response("F22 2.0", 502, "HTTP/2.0 200 OK");
  response("F22 no protocol", 502, "200 OK");
  add.Raw("F22 empty line first", 502, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  response("F22 204 with length", 502, "HTTP/1.1 204 No\nContent-Length: 2", "hi");
  response("F22 204 with chunks", 502, "HTTP/1.1 204 No\nTransfer-Encoding: chunked", "0\r\n\r\n");
  response("F22 interim with chunks", 502, "HTTP/1.1 103 E\nTransfer-Encoding: chunked");
  response("F18 101 unasked", 502, "HTTP/1.1 101 S\nConnection: upgrade\nUpgrade: websocket");
  std::string interims;
  for (int i = 0; i < 101; ++i) interims += "HTTP/1.1 100 Continue\n\n";
  response("F23 too many interims", 502, interims + "HTTP/1.1 200 OK\nContent-Length: 0");
  response("F23 neighbour", 0,
           interims.substr(0, interims.size() / 101 * 100) + "HTTP/1.1 200 OK\nContent-Length: 2",
           "hi");
  response("F25 large", 502, ok + "X: " + std::string(70000, 'v'));
  response("F25 fields", 502, ok + Fields(101));
  return cases;
}

}  // namespace remora::proxy
