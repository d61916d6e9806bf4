// What of a build context is passed on, and that what is passed on says the same to other readers: tar and Python's.
#include "docker/gateway/build_archive.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <clocale>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLimit = 64 << 20;

// --- archives made by hand ---

std::string octal(std::uint64_t value, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", width - 1, static_cast<unsigned long long>(value));
  return std::string(text) + '\0';
}

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

struct Head {
  std::string name;
  char type = '0';
  std::string link = {};
  std::string owner = "root";
  std::uint64_t mode = 0644;
};

std::string with_checksum(std::string block) {
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  return block.replace(148, 8, octal(sum, 7) + ' ');
}

std::string header(const Head& head, std::uint64_t size) {
  std::string block(512, '\0');
  block.replace(0, head.name.size(), head.name);
  block.replace(100, 8, octal(head.mode, 8));
  block.replace(108, 8, octal(7, 8));
  block.replace(116, 8, octal(8, 8));
  block.replace(124, 12, octal(size, 12));
  block.replace(136, 12, octal(1'700'000'000, 12));
  block[156] = head.type;
  block.replace(157, head.link.size(), head.link);
  block.replace(257, 8,
                std::string("ustar\0"
                            "00",
                            8));
  block.replace(265, head.owner.size(), head.owner);
  return with_checksum(block);
}

std::string entry(const Head& head, const std::string& content = "") {
  return header(head, content.size()) + padded(content);
}

std::string file(const std::string& name, const std::string& content) { return entry({.name = name}, content); }
std::string symlink(const std::string& name, const std::string& to) {
  return entry({.name = name, .type = '2', .link = to});
}
std::string folder(const std::string& name) { return entry({.name = name, .type = '5', .mode = 0755}); }

std::string record(const std::string& key, const std::string& value) {
  const auto rest = " " + key + "=" + value + "\n";
  auto size = rest.size() + 1;
  while (std::to_string(size).size() + rest.size() != size) ++size;
  return std::to_string(size) + rest;
}

std::string pax(const std::string& records) { return entry({.name = "PaxHeaders/x", .type = 'x'}, records); }

std::string end() { return std::string(1024, '\0'); }

// --- files and programs ---

class BuildArchiveTest : public ::testing::Test {
 protected:
  BuildArchiveTest() {
    std::setlocale(LC_ALL, "C");
    std::string path = "/tmp/ebbtide-archive.XXXXXX";
    if (::mkdtemp(path.data())) folder_ = path;
  }
  ~BuildArchiveTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void save(const std::string& name, const std::string& bytes) const {
    fs::create_directories(fs::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

  std::string load(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // What the program prints; the working directory is the test's.
  std::string run(const std::string& command) const {
    const auto status = std::system(("cd " + folder_.string() + " && (" + command + ") >out 2>err").c_str());
    EXPECT_EQ(status, 0) << command << ": " << load("err");
    return load("out");
  }

  // A line for each entry, as Python reads it.
  std::string listing(const std::string& archive) const {
    save("list.tar", archive);
    save("list.py",
         "import tarfile\n"
         "t = tarfile.open('list.tar', 'r:', encoding='utf-8', errors='surrogateescape')\n"
         "for m in t:\n"
         "  body = t.extractfile(m).read() if m.isreg() else b''\n"
         "  x = sorted((k, v) for k, v in m.pax_headers.items() if k.startswith('SCHILY.xattr'))\n"
         "  print(ascii((m.type, m.name, oct(m.mode), m.uid, m.gid, m.uname, m.gname, float(m.mtime), m.size,\n"
         "    m.linkname, m.devmajor, m.devminor, hash(body) if len(body) > 99 else body, x)))\n");
    return run("PYTHONHASHSEED=0 python3 list.py");
  }

  Result<BuildArchive> received(const std::string& bytes, const std::string& dockerfile = "Dockerfile",
                                std::uint64_t limit = kLimit) const {
    auto made = BuildArchive::create(folder_, dockerfile, limit);
    if (!made) return made;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const auto piece = rest.substr(0, 5000);
      if (const auto wrote = made->write(piece); !wrote) return fail(wrote.error());
      rest.remove_prefix(piece.size());
    }
    while (true) {
      const auto all = made->scan();
      if (!all) return fail(all.error());
      if (*all) return made;
    }
  }

  static std::string sent_on(BuildArchive& archive) {
    std::string all;
    while (true) {
      const auto piece = archive.next();
      EXPECT_TRUE(piece) << piece.error().message;
      if (!piece || piece->empty()) return all;
      EXPECT_LE(piece->size(), 400U * 1024);
      all += *piece;
    }
  }

  // The Dockerfile's text if what is sent on unpacks to it and says it again; else what is wrong.
  std::string taken(const std::string& bytes, const std::string& dockerfile = "Dockerfile") const {
    auto archive = received(bytes, dockerfile);
    if (!archive) return archive.error().message;
    const auto sent = sent_on(*archive);
    const auto again = received(sent, dockerfile);
    if (!again || again->dockerfile() != archive->dockerfile()) return "what is sent on reads otherwise";
    save("sent.tar", sent);
    const auto unpacked = run("rm -rf at; mkdir at; tar xf sent.tar -C at; cat at/" + dockerfile);
    return unpacked == archive->dockerfile() ? unpacked : "unpacks to " + unpacked;
  }

  std::string refused(const std::string& bytes, const std::string& dockerfile = "Dockerfile",
                      ErrorKind kind = ErrorKind::kInvalid) const {
    const auto archive = received(bytes, dockerfile);
    if (archive) return "passed with " + archive->dockerfile();
    EXPECT_EQ(archive.error().kind, kind) << archive.error().message;
    return archive.error().message;
  }

  // Of what is sent on for these bytes, without the first entry and the last, which are ours.
  std::string passed_on(const std::string& bytes) const {
    auto archive = received(bytes);
    if (!archive) return archive.error().message;
    auto lines = split(listing(sent_on(*archive)), '\n');
    if (lines.size() < 3) return "too few entries";
    EXPECT_TRUE(lines.front().starts_with("(b'5', '.', '0o755', 0, 0, '', '', 0.0, 0,")) << lines.front();
    lines.erase(lines.begin());
    lines.erase(lines.end() - 2);
    return join(lines, "\n");
  }

  fs::path folder_;
};

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// --- honest archives ---

TEST_F(BuildArchiveTest, PassesOnWhatTarPacked) {
  save("c/Dockerfile", "FROM busybox\n");
  save("c/empty", "");
  save("c/sub/" + std::string(150, 'n'), std::string(300'000, 'x'));
  save("c/" + std::string("\xc3\xa9"), "composed");
  save("c/" + std::string("e\xcc\x81"), "decomposed");
  save("c/latin-\xe9", "bytes");
  run("cd c && ln -s 'to-\xe9' 'link-\xc3\xa9' && ln Dockerfile hard && mkfifo pipe && chmod 4755 empty && "
      "touch -d '1960-01-02 03:04:05.678901234' empty && ln sub/n* 'hard-\xe9'");
  for (const auto* format : {"gnu", "pax", "ustar"}) {
    const std::string how =
        std::string("tar cf - --format=") + format + " --owner='J\xc3\xb6rg:3000' --sort=name -C c ";
    const auto packed =
        run(how + (format == std::string("ustar") ? "--exclude=sub --exclude=hard-* --exclude=empty ." : "."));
    EXPECT_EQ(passed_on(packed), listing(packed)) << format;
  }
}

TEST_F(BuildArchiveTest, PassesOnAttributesDevicesAndLargeNumbers) {
  const auto capability = std::string("\x01\0\0\x02\0\x20\0\0", 8);
  const auto bytes = pax(record("SCHILY.xattr.security.capability", capability) + record("uid", "4000000000") +
                         record("mtime", "1700000000.25")) +
                     file("ping", "elf") + entry({.name = "null", .type = '3'}) + file("Dockerfile", "FROM a\n") +
                     end();
  EXPECT_EQ(passed_on(bytes), listing(bytes));
  EXPECT_TRUE(says(passed_on(bytes), "SCHILY.xattr.security.capability"));
  EXPECT_TRUE(says(passed_on(bytes), "4000000000"));
}

TEST_F(BuildArchiveTest, TakesEveryCompression) {
  save("plain", file("Dockerfile", "FROM a\n") + file("more", std::string(200'000, 'm')) + end());
  for (const auto* how : {"cat", "gzip", "bzip2"})
    EXPECT_EQ(taken(run(std::string(how) + " <plain")), "FROM a\n") << how;
}

TEST_F(BuildArchiveTest, ReadsAllMembersOfGzip) {
  save("one", file("Dockerfile", "FROM first\n"));
  save("two", file("Dockerfile", "FROM second\n") + end());
  EXPECT_EQ(taken(run("gzip <one; gzip <two")), "FROM second\n");
}

TEST_F(BuildArchiveTest, WritesHolesOut) {
  save("c/Dockerfile", "FROM a\n");
  run("truncate -s 700000 c/holes; printf x | dd of=c/holes bs=1 seek=300000 conv=notrunc");
  for (const auto* how : {"--format=gnu", "--format=pax --sparse-version=1.0", "--format=pax --sparse-version=0.1"}) {
    auto archive = received(run("tar cf - --sparse " + std::string(how) + " -C c Dockerfile holes"));
    ASSERT_TRUE(archive) << archive.error().message;
    save("sent.tar", sent_on(*archive));
    run("mkdir -p at && tar xf sent.tar -C at && cmp at/holes c/holes");
    EXPECT_FALSE(says(load("sent.tar"), "GNU.sparse"));
  }
}

TEST_F(BuildArchiveTest, NeedsNoEndOfArchive) { EXPECT_EQ(taken(file("Dockerfile", "FROM a\n")), "FROM a\n"); }

TEST_F(BuildArchiveTest, TakesLongNamesOfGnu) {
  const auto name = std::string(120, 'd') + "/Dockerfile";
  const auto bytes = entry({.name = "././@LongLink", .type = 'L'}, name + '\0') + file("short", "FROM long\n") + end();
  EXPECT_EQ(taken(bytes, name), "FROM long\n");
}

TEST_F(BuildArchiveTest, KeepsNamesAsBytesUnderAnyLocale) {
  const auto bytes = pax(record("path", "e\xcc\x81") + record("linkpath", "l\xe9") + record("uname", "\xf6")) +
                     symlink("x", "y") + entry({.name = "u\xe9", .owner = "\xe4"}) + file("Dockerfile", "FROM a\n") +
                     end();
  const auto in_c = passed_on(bytes);
  EXPECT_EQ(in_c, listing(bytes));
  ASSERT_NE(std::setlocale(LC_ALL, "C.UTF-8"), nullptr);
  EXPECT_EQ(passed_on(bytes), in_c);
  std::setlocale(LC_ALL, "C");
}

// --- which Dockerfile ---

TEST_F(BuildArchiveTest, TakesTheLastDockerfile) {
  EXPECT_EQ(taken(file("Dockerfile", "FROM a\n") + file("Dockerfile", "FROM b\n") + end()), "FROM b\n");
  for (const auto* name : {"./Dockerfile", "a/../Dockerfile", "/Dockerfile", "../Dockerfile", ".//./Dockerfile"}) {
    auto archive = received(file("Dockerfile", "FROM a\n") + file(name, "FROM b\n") + end());
    ASSERT_TRUE(archive) << archive.error().message;
    EXPECT_EQ(archive->dockerfile(), "FROM b\n") << name;
  }
}

TEST_F(BuildArchiveTest, WritesTheDockerfileLastWithItsOwnHeader) {
  auto archive = received(entry({.name = "./Dockerfile", .mode = 0600}, "FROM a\n") + file("more", "") + end());
  ASSERT_TRUE(archive);
  const auto lines = split(listing(sent_on(*archive)), '\n');
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_TRUE(lines[3].starts_with("(b'0', 'Dockerfile', '0o600', 7, 8, 'root', '', 1700000000.0, 7,")) << lines[3];
  EXPECT_TRUE(says(lines[3], "b'FROM a\\n'")) << lines[3];
}

TEST_F(BuildArchiveTest, CleansThePathThatTheBuildNames) {
  const auto bytes = file("dir/Dockerfile", "FROM a\n") + end();
  for (const auto* name : {"dir/Dockerfile", "./dir//Dockerfile", "/dir/Dockerfile", "x/../dir/Dockerfile/"}) {
    const auto archive = received(bytes, name);
    ASSERT_TRUE(archive) << archive.error().message;
    EXPECT_EQ(archive->dockerfile(), "FROM a\n");
  }
  const auto unnamed = received(file("Dockerfile", "FROM b\n") + end(), "");
  ASSERT_TRUE(unnamed) << unnamed.error().message;
  EXPECT_EQ(unnamed->dockerfile(), "FROM b\n");
}

TEST_F(BuildArchiveTest, RefusesAPathOutOfTheContext) {
  for (const auto* name : {"../Dockerfile", "a/../../Dockerfile", ".", "/", "a/.."}) {
    const auto made = BuildArchive::create(folder_, name, kLimit);
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid);
  }
}

TEST_F(BuildArchiveTest, TakesTheLowerCaseNameOnlyWhereThereIsNoOther) {
  EXPECT_EQ(taken(file("dockerfile", "FROM a\n") + end()), "FROM a\n");
  EXPECT_EQ(taken(file("Dockerfile", "FROM b\n") + file("dockerfile", "FROM a\n") + end()), "FROM b\n");
  EXPECT_TRUE(says(refused(file("other", "FROM a\n") + end(), "Other"), "has no file Other"));
  EXPECT_TRUE(
      says(refused(symlink("Dockerfile", "dockerfile") + file("dockerfile", "FROM a\n") + end()), "not a link"));
}

// The engine looks for "Dockerfile" first, and a link may lead another entry to that name.
TEST_F(BuildArchiveTest, WritesTheLowerCaseOneUnderTheNameAskedFor) {
  EXPECT_EQ(taken(symlink("x", ".") + file("x/Dockerfile", "FROM evil\n") + file("dockerfile", "FROM good\n") + end()),
            "FROM good\n");
}

TEST_F(BuildArchiveTest, RefusesADockerfileThatIsNoFile) {
  const auto before = file("other", "FROM b\n") + file("Dockerfile", "FROM a\n");
  for (const char type : {'1', '2', '3', '4', '5', '6'}) {
    const auto bytes = before + entry({.name = "Dockerfile", .type = type, .link = "other"}) + end();
    EXPECT_TRUE(says(refused(bytes), "give the Dockerfile itself, not a link")) << type;
  }
  EXPECT_EQ(taken(symlink("Dockerfile", "other") + before + end()), "FROM a\n") << "a file came later";
}

TEST_F(BuildArchiveTest, RefusesALinkAboveTheDockerfile) {
  const auto bytes = folder("real") + symlink("dir", "real") + file("dir/Dockerfile", "FROM a\n") + end();
  EXPECT_TRUE(says(refused(bytes, "dir/Dockerfile"), "name the Dockerfile by its own path"));
  EXPECT_TRUE(says(refused(symlink("./", "real") + file("Dockerfile", "FROM a\n") + end()), "no directory"));
}

TEST_F(BuildArchiveTest, RefusesAContextWithoutADockerfile) {
  for (const auto& bytes : {std::string(), end(), file("other", "") + end(), std::string(512, '\0')})
    EXPECT_TRUE(says(refused(bytes), "it has no file Dockerfile")) << refused(bytes);
  save("none", "");
  EXPECT_TRUE(says(refused(run("gzip <none")), "it has no file Dockerfile")) << refused(run("gzip <none"));
}

// --- hostile archives ---

TEST_F(BuildArchiveTest, ReadsNothingAfterTheEnd) {
  const auto bytes = file("Dockerfile", "FROM a\n") + end() + file("Dockerfile", "FROM b\n") + end();
  EXPECT_EQ(taken(bytes), "FROM a\n");
  auto archive = received(bytes);
  ASSERT_TRUE(archive);
  EXPECT_FALSE(says(sent_on(*archive), "FROM b"));
  EXPECT_EQ(taken(file("Dockerfile", "FROM a\n") + end() + "garbage"), "FROM a\n");
}

TEST_F(BuildArchiveTest, SendsOnWhatItReadWhereSizesDiffer) {
  // By the record the second entry is hidden in the first one's content; by the header it is not.
  const auto hidden = padded("FROM a\n") + file("Dockerfile", "FROM b\n");
  const auto bytes = pax(record("size", std::to_string(hidden.size()))) + header({.name = "x"}, 7) + hidden +
                     file("Dockerfile", "FROM c\n") + end();
  EXPECT_EQ(taken(bytes), "FROM c\n");
  const auto other =
      pax(record("size", std::to_string(hidden.size()))) + header({.name = "Dockerfile"}, 7) + hidden + end();
  EXPECT_EQ(taken(other), hidden);
}

// The engine tells compression by the first bytes: a name must not be taken for it.
TEST_F(BuildArchiveTest, BeginsWithANameOfItsOwn) {
  const std::string name = "BZh9";  // all that the engine asks of bzip2
  auto archive = received(file(name, "x") + file("Dockerfile", "FROM a\n") + end());
  ASSERT_TRUE(archive) << archive.error().message;
  const auto sent = sent_on(*archive);
  EXPECT_TRUE(sent.starts_with("PaxHeader/currentdir")) << sent.substr(0, 40);
  EXPECT_TRUE(says(sent, name));
  save("plain", file("\x1f\x8b\x08\x04", "x") + file("Dockerfile", "FROM a\n") + end());
  EXPECT_TRUE(says(refused(run("gzip <plain")), "decompression failed")) << "libarchive takes it for a second layer";
}

TEST_F(BuildArchiveTest, RefusesWhatIsTruncated) {
  const auto whole = file("Dockerfile", std::string(3000, 'F')) + end();
  for (const std::size_t size : {100U, 513U, 2000U, 3000U})
    EXPECT_TRUE(says(refused(whole.substr(0, size)), "can't be read")) << size;
  std::mt19937 random(1);
  std::string noise(50'000, '\0');
  for (auto& byte : noise) byte = static_cast<char>(random());
  save("plain", file("Dockerfile", "FROM a\n") + file("noise", noise) + end());
  for (const auto* how : {"gzip", "bzip2"})
    EXPECT_TRUE(says(refused(run(std::string(how) + " <plain | head -c 30000")), "build context: ")) << how;
}

TEST_F(BuildArchiveTest, RefusesWhatIsNoArchive) {
  EXPECT_TRUE(says(refused("FROM busybox\n"), "send a tar"));
  EXPECT_TRUE(says(refused(std::string(5000, 'x')), "send a tar"));
  auto damaged = file("Dockerfile", "FROM a\n") + file("more", "x") + end();
  damaged[1024 + 3] = 'X';
  EXPECT_TRUE(says(refused(damaged), "send a tar"));
  EXPECT_TRUE(says(refused(pax("nonsense") + file("Dockerfile", "FROM a\n") + end()), "send a tar"));
}

TEST_F(BuildArchiveTest, RefusesABomb) {
  run("head -c 200M /dev/zero | gzip >zeros.gz");
  save("head", file("Dockerfile", "FROM a\n") + header({.name = "zeros"}, 200 << 20));
  EXPECT_TRUE(says(refused(run("gzip <head; cat zeros.gz"), "Dockerfile", ErrorKind::kTooLarge), "over the limit"));
  EXPECT_TRUE(says(refused(run("gzip <head | gzip")), "more than once"));
  const auto hole = pax(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
                        record("GNU.sparse.name", "hole") + record("GNU.sparse.realsize", "9000000000000"));
  const auto bytes = hole + file("h", padded("1\n0\n1\n") + "x") + file("Dockerfile", "FROM a\n") + end();
  EXPECT_TRUE(says(refused(bytes, "Dockerfile", ErrorKind::kTooLarge), "over the limit"));
}

TEST_F(BuildArchiveTest, RefusesAMapOfHolesThatFillsTheMemory) {
  std::string map = "3000000\n";
  for (int i = 0; i < 3'000'000; ++i) map += "1\n0\n";
  const auto hole = pax(record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
                        record("GNU.sparse.name", "hole") + record("GNU.sparse.realsize", "90"));
  EXPECT_TRUE(says(refused(hole + file("h", padded(map)) + file("Dockerfile", "") + end()), "header is too large"));
}

TEST_F(BuildArchiveTest, RefusesWhatIsOverItsLimits) {
  EXPECT_TRUE(says(refused(file("Dockerfile", std::string((1 << 20) + 1, '#')) + end()), "make it smaller"));
  EXPECT_EQ(taken(file("Dockerfile", std::string(1 << 20, '#')) + end()).size(), 1U << 20);
  auto archive = BuildArchive::create(folder_, "", 1000);
  ASSERT_TRUE(archive);
  EXPECT_TRUE(archive->write(std::string(1000, '\0')));
  const auto more = archive->write("x");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::kTooLarge);
  const auto name = pax(record("path", std::string(5000, 'n'))) + file("n", "");
  EXPECT_TRUE(says(refused(name + file("Dockerfile", "") + end()), "rename it"));
}

TEST_F(BuildArchiveTest, RefusesBeforeItSendsOnWhatItCanNotWrite) {
  const auto bytes = file("Dockerfile", "FROM a\n") + pax(record("uid", "-5")) + file("x", "") + end();
  EXPECT_TRUE(says(refused(bytes), "leave it out"));
}

TEST_F(BuildArchiveTest, RefusesAMillionEntries) {
  std::string thousand;
  for (int i = 0; i < 1000; ++i) thousand += file("a", "");
  save("thousand", thousand);
  const auto packed = run("gzip <thousand");
  std::string many;
  for (int i = 0; i < 1001; ++i) many += packed;
  const auto archive = received(many, "Dockerfile", 1 << 30);
  ASSERT_FALSE(archive);
  EXPECT_TRUE(says(archive.error().message, "over 1000000 entries"));
}

TEST_F(BuildArchiveTest, IsNotSentOnBeforeItWasRead) {
  auto archive = BuildArchive::create(folder_, "", kLimit);
  ASSERT_TRUE(archive);
  EXPECT_EQ(archive->next().error().kind, ErrorKind::kInternal);
  EXPECT_EQ(BuildArchive::create("/nowhere/at/all", "", kLimit).error().kind, ErrorKind::kUnavailable);
}

TEST_F(BuildArchiveTest, LeavesNoFile) {
  const auto archive = received(file("Dockerfile", "FROM a\n") + end());
  ASSERT_TRUE(archive);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace ebbtide::gateway
