/* test_volumes.c: what pods need, and volumes on disk (mounting needs root: skipped otherwise). */
#include "cmd/fks-node/volumes/volumes_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "test/unit/temporary.h"

#define TMPFS_MAGIC 0x01021994

static struct json *parse(const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *json = NULL;

    if (json_parse(text, strlen(text), &json, &err) < 0)
        fail_msg("%s in %s", err_text(&err), text);
    return json;
}

static struct json *make_pod(const char *spec)
{
    CLEANUP(xfree) char *text = xasprintf(
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"ns\",\"uid\":\"u1\",\"labels\":{\"a\":\"b\"}},\"spec\":{%s}}", spec);

    return parse(text);
}

/* --- needs */

static const struct volumes_object *find(const struct volumes_needs *needs, const char *key)
{
    for (size_t i = 0; i < needs->n_objects; i++)
        if (streq(needs->objects[i].key, key))
            return &needs->objects[i];
    return NULL;
}

static void test_volumes__needs(void **state)
{
    CLEANUP(json_free) struct json *pod = make_pod(
        "\"imagePullSecrets\":[{\"name\":\"pull\"}],"
        "\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}},{\"name\":\"c\",\"configMap\":{\"name\":\"cm\",\"optional\":true}},"
        "{\"name\":\"s\",\"secret\":{\"secretName\":\"se\"}},{\"name\":\"p\",\"projected\":{\"sources\":["
        "{\"secret\":{\"name\":\"se2\",\"optional\":true}},{\"serviceAccountToken\":{\"path\":\"t\",\"audience\":\"vault\",\"expirationSeconds\":10}},"
        "{\"serviceAccountToken\":{\"path\":\"t2\"}},"
        "{\"clusterTrustBundle\":{\"signerName\":\"x.test/s\",\"path\":\"ca\"}}]}}],"
        "\"containers\":[{\"name\":\"x\",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"cm\",\"key\":\"k\"}}}],"
        "\"envFrom\":[{\"secretRef\":{\"name\":\"only-env\"}}]}]");
    CLEANUP(volumes_needs_done) struct volumes_needs needs = {0};

    (void)state;
    volumes_needs_of(pod, &needs);
    assert_int_equal(needs.n_objects, 6);
    assert_true(find(&needs, VOLUMES_TRUST "/spec.signerName=x.test/s")->in_volume);
    assert_false(find(&needs, "ConfigMap/cm")->optional); /* the variable needs it */
    assert_true(find(&needs, "ConfigMap/cm")->in_volume);
    assert_true(find(&needs, "Secret/se")->in_volume);
    assert_true(find(&needs, "Secret/se2")->optional);
    assert_false(find(&needs, "Secret/only-env")->in_volume);
    assert_true(find(&needs, "Secret/pull")->for_pulls);
    assert_int_equal(needs.n_tokens, 2);
    assert_string_equal(needs.tokens[0].key, "p/1");
    assert_string_equal(needs.tokens[0].audience, "vault");
    assert_int_equal(needs.tokens[0].expiration_s, 600);
    assert_string_equal(needs.tokens[1].audience, "");
    assert_int_equal(needs.tokens[1].expiration_s, 3600);
}

/* --- certificates of signers */

#define CERTIFICATE(text) "-----BEGIN CERTIFICATE-----\\n" text "\\n-----END CERTIFICATE-----\\n"
#define PRINTED(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"
#define BUNDLE(name, labels, text) "{\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}},\"spec\":{\"trustBundle\":\"" text "\"}}"

static void test_volumes__trust(void **state)
{
    static const char by_signer[] = "spec.signerName=x.test/s", by_name[] = "metadata.name=one";
    static const struct {
        const char *source, *found_by;
        int code;
        const char *want;
    } rows[] = {
        {"{\"name\":\"one\"}", by_name, 0, PRINTED("AAAA") PRINTED("BBBB")},
        {"{\"name\":\"one\"}", by_signer, ERR_UNSUPPORTED, NULL}, /* not asked for: not served */
        {"{\"signerName\":\"x.test/s\"}", by_signer, ERR_NOT_FOUND, NULL}, /* no selector selects nothing */
        {"{\"signerName\":\"x.test/s\",\"optional\":true}", by_signer, 0, ""},
        {"{\"signerName\":\"x.test/s\",\"labelSelector\":{}}", by_signer, 0, PRINTED("AAAA") PRINTED("BBBB") PRINTED("CCCC")},
        {"{\"signerName\":\"x.test/s\",\"labelSelector\":{\"matchLabels\":{\"l\":\"2\"}}}", by_signer, 0, PRINTED("AAAA") PRINTED("CCCC")},
    };
    CLEANUP(json_free) struct json *one = parse("{\"items\":[" BUNDLE("one", "\"l\":\"1\"", CERTIFICATE("BB\\nBB") CERTIFICATE("AAAA")) "]}");
    CLEANUP(json_free) struct json *both = parse("{\"items\":[" BUNDLE("one", "\"l\":\"1\"", CERTIFICATE("BBBB") CERTIFICATE("AAAA")) ","
                                                 BUNDLE("two", "\"l\":\"2\"", CERTIFICATE("CCCC") CERTIFICATE("AAAA")) "]}");

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(json_free) struct json *source = parse(rows[i].source);
        CLEANUP(xfree) char *key = xasprintf(VOLUMES_TRUST "/%s", rows[i].found_by);
        CLEANUP(map_done) struct map objects = {0};
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(err_clear) struct err err = {0};

        (void)map_set(&objects, key, rows[i].found_by == by_name ? one : both);
        assert_int_equal(volumes_trust_anchors(source, &objects, &text, &err), rows[i].code);
        if (rows[i].want != NULL)
            assert_string_equal(buf_text(&text), rows[i].want);
    }
    static const char *const broken[] = {"-----BEGIN CERTIFICATE-----\\nAAAA", CERTIFICATE("*")};
    for (size_t i = 0; i < countof(broken); i++) {
        CLEANUP(json_free) struct json *source = parse("{\"name\":\"one\"}");
        CLEANUP(xfree) char *list_text = xasprintf("{\"items\":[" BUNDLE("one", "", "%s") "]}", broken[i]);
        CLEANUP(json_free) struct json *list = parse(list_text);
        CLEANUP(map_done) struct map objects = {0};
        CLEANUP(buf_done) struct buf text = {0};
        CLEANUP(err_clear) struct err err = {0};

        (void)map_set(&objects, VOLUMES_TRUST "/metadata.name=one", list);
        assert_true(volumes_trust_anchors(source, &objects, &text, &err) < 0);
    }
}

/* --- on disk */

struct disk {
    char *dir;
    struct json *pod, *cm, *se;
    struct map objects, tokens;
    struct volumes_input input;
    struct environment environment;
    struct volumes_mounts mounts;
    bool readonly_below;
    struct err err;
};

static void disk_done(struct disk *disk)
{
    CLEANUP(err_clear) struct err err = {0};

    if (volumes_tear_down(disk->dir, "u1", &err) < 0)
        print_error("%s\n", err_text(&err));
    temporary_remove(disk->dir);
    json_free(disk->pod);
    json_free(disk->cm);
    json_free(disk->se);
    map_done(&disk->objects);
    map_done(&disk->tokens);
    environment_done(&disk->environment);
    volumes_mounts_done(&disk->mounts);
    err_clear(&disk->err);
}
DEFINE_CLEANUP_IN_PLACE(struct disk, disk_done)

static void disk_make(struct disk *disk, const char *spec)
{
    static char token[] = "eyJ0";

    if (geteuid() != 0)
        skip();
    disk->dir = temporary_folder();
    disk->pod = make_pod(spec);
    disk->cm = parse("{\"data\":{\"a\":\"1\",\"b\":\"2\"},\"binaryData\":{\"bin\":\"AAEC\"}}");
    disk->se = parse("{\"data\":{\"pw\":\"czNjcmV0\"}}");
    map_set(&disk->objects, "ConfigMap/cm", disk->cm);
    map_set(&disk->objects, "Secret/se", disk->se);
    map_set(&disk->tokens, "p/0", token);
    disk->input = (struct volumes_input){
        .pod = disk->pod,
        .state_dir = disk->dir,
        .objects = &disk->objects,
        .tokens = &disk->tokens,
        .downward = {.pod_ip = "10.1.0.5", .allocatable_mem_b = 64 << 20},
    };
}

static char *disk_path(const struct disk *disk, const char *below)
{
    return path_join(disk->dir, "pods/u1", below, NULL);
}

static void set_up(struct disk *disk)
{
    if (volumes_set_up(&disk->input, &disk->err) < 0)
        fail_msg("%s", err_text(&disk->err));
}

static void assert_file(const struct disk *disk, const char *below, const char *bytes, size_t len, int mode)
{
    CLEANUP(xfree) char *path = disk_path(disk, below);
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(buf_done) struct buf got = {0};
    struct stat info;

    if (file_read(path, 1000, &got, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, bytes, len);
    assert_int_equal(stat(path, &info), 0);
    if ((int)(info.st_mode & 07777) != mode)
        fail_msg("%s has mode %o, not %o", below, info.st_mode & 07777, (unsigned)mode);
}
#define ASSERT_TEXT(disk, below, text, mode) assert_file(disk, below, text, sizeof(text) - 1, mode)

static bool is_tmpfs(const struct disk *disk, const char *below)
{
    CLEANUP(xfree) char *path = disk_path(disk, below);
    struct statfs info;

    assert_int_equal(statfs(path, &info), 0);
    return info.f_type == TMPFS_MAGIC;
}

static void test_volumes__config_map(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};

    (void)state;
    disk_make(&disk, "\"volumes\":[{\"name\":\"all\",\"configMap\":{\"name\":\"cm\"}},"
                     "{\"name\":\"some\",\"configMap\":{\"name\":\"cm\",\"defaultMode\":256,\"items\":[{\"key\":\"a\",\"path\":\"d/x\"},"
                     "{\"key\":\"b\",\"path\":\"y\",\"mode\":511}]}},"
                     "{\"name\":\"none\",\"configMap\":{\"name\":\"no\",\"optional\":true}}]");
    set_up(&disk);
    ASSERT_TEXT(&disk, "volumes/all/a", "1", 0644);
    ASSERT_TEXT(&disk, "volumes/all/bin", "\0\1\2", 0644);
    ASSERT_TEXT(&disk, "volumes/some/d/x", "1", 0400);
    ASSERT_TEXT(&disk, "volumes/some/y", "2", 0777);

    /* the object changed */
    json_set_str(json_edit(disk.cm, "data", NULL), "a", "new");
    json_del(json_edit(disk.cm, "data", NULL), "b");
    disk.input.pod = disk.pod;
    {
        CLEANUP(err_clear) struct err err = {0};
        CLEANUP(xfree) char *gone = disk_path(&disk, "volumes/all/b");

        assert_int_equal(volumes_set_up(&disk.input, &err), ERR_NOT_FOUND); /* "some" names b */
        assert_string_equal(err_text(&err),
                            "MountVolume.SetUp failed for volume \"some\" : configmap references non-existent config key: b");
        ASSERT_TEXT(&disk, "volumes/all/a", "new", 0644);
        ASSERT_TEXT(&disk, "volumes/some/y", "2", 0777); /* what was there stays */
        assert_false(file_exists(gone));
    }
}

static void test_volumes__secret_and_groups(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(xfree) char *path = NULL;
    struct stat info;

    (void)state;
    disk_make(&disk, "\"securityContext\":{\"fsGroup\":4321},\"volumes\":[{\"name\":\"s\",\"secret\":{\"secretName\":\"se\",\"defaultMode\":256}},"
                     "{\"name\":\"e\",\"emptyDir\":{}}]");
    set_up(&disk);
    set_up(&disk); /* again changes nothing */
    assert_true(is_tmpfs(&disk, "volumes/s"));
    ASSERT_TEXT(&disk, "volumes/s/pw", "s3cret", 0440);
    path = disk_path(&disk, "volumes/s/pw");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, 4321);
    free(path);
    path = disk_path(&disk, "volumes/e");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, 4321);
    assert_int_equal(info.st_mode & 07777, 02777);
}

static void test_volumes__projected(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};

    (void)state;
    disk_make(&disk, "\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"32Mi\"}},\"securityContext\":{\"runAsUser\":55}}],"
                     "\"volumes\":[{\"name\":\"p\",\"projected\":{\"defaultMode\":420,\"sources\":[{\"serviceAccountToken\":{\"path\":\"token\"}},"
                     "{\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"a\",\"path\":\"ca.crt\"}]}},"
                     "{\"secret\":{\"name\":\"se\"}},{\"downwardAPI\":{\"items\":[{\"path\":\"ns\",\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}},"
                     "{\"path\":\"mem\",\"resourceFieldRef\":{\"containerName\":\"c\",\"resource\":\"limits.memory\",\"divisor\":\"1Mi\"}}]}}]}},"
                     "{\"name\":\"d\",\"downwardAPI\":{\"items\":[{\"path\":\"labels\",\"fieldRef\":{\"fieldPath\":\"metadata.labels\"}}]}}]");
    set_up(&disk);
    ASSERT_TEXT(&disk, "volumes/p/token", "eyJ0", 0600); /* all containers are user 55 */
    ASSERT_TEXT(&disk, "volumes/p/ca.crt", "1", 0644);
    ASSERT_TEXT(&disk, "volumes/p/pw", "s3cret", 0644);
    ASSERT_TEXT(&disk, "volumes/p/ns", "ns", 0644);
    ASSERT_TEXT(&disk, "volumes/p/mem", "32", 0644);
    ASSERT_TEXT(&disk, "volumes/d/labels", "a=\"b\"", 0644);
    assert_true(is_tmpfs(&disk, "volumes/p"));
}

static void test_volumes__memory_medium(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(xfree) char *path = NULL;
    struct stat info;
    struct statfs size;

    (void)state;
    disk_make(&disk, "\"volumes\":[{\"name\":\"m\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Mi\"}},"
                     "{\"name\":\"big\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Gi\"}}]");
    set_up(&disk);
    path = disk_path(&disk, "volumes/m");
    assert_true(is_tmpfs(&disk, "volumes/m"));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0777);
    assert_int_equal(statfs(path, &size), 0);
    assert_int_equal(size.f_blocks * (uint64_t)size.f_bsize, 1 << 20);
    free(path);
    path = disk_path(&disk, "volumes/big");
    assert_int_equal(statfs(path, &size), 0);
    assert_int_equal(size.f_blocks * (uint64_t)size.f_bsize, 64 << 20); /* never more than the machine */
    assert_int_equal(chmod(path, 0700), 0);
    set_up(&disk); /* a container's chmod stays */
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void test_volumes__errors(void **state)
{
    static const struct {
        const char *volume;
        int code;
        const char *text;
    } rows[] = {
        {"{\"name\":\"v\",\"configMap\":{\"name\":\"x\"}}", ERR_NOT_FOUND,
         "MountVolume.SetUp failed for volume \"v\" : configmap \"x\" not found"},
        {"{\"name\":\"v\",\"secret\":{\"secretName\":\"x\"}}", ERR_NOT_FOUND,
         "MountVolume.SetUp failed for volume \"v\" : secret \"x\" not found"},
        {"{\"name\":\"v\",\"secret\":{\"secretName\":\"se\",\"items\":[{\"key\":\"k\",\"path\":\"p\"}]}}", ERR_NOT_FOUND,
         "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: k"},
        {"{\"name\":\"v\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"t\"}}]}}", ERR_NOT_FOUND, NULL},
        {"{\"name\":\"v\",\"projected\":{\"sources\":[{\"podCertificate\":{}}]}}", ERR_UNSUPPORTED, NULL},
        {"{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}", ERR_UNSUPPORTED,
         "MountVolume.SetUp failed for volume \"v\" : volumes of type hostPath are not supported here: use emptyDir, "
         "configMap, secret, projected, downwardAPI, image, nfs, csi, or a claim of an NFS or CSI volume"},
        {"{\"name\":\"v\",\"nfs\":{\"server\":\"s\",\"path\":\"/p\"}}", ERR_BUSY,
         "MountVolume.SetUp failed for volume \"v\" : s:/p is not mounted yet"},
        {"{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"none\"}}", ERR_NOT_FOUND,
         "MountVolume.SetUp failed for volume \"v\" : persistentvolumeclaim \"none\" not found"},
        {"{\"name\":\"v\",\"emptyDir\":{\"medium\":\"HugePages\"}}", ERR_UNSUPPORTED, NULL},
        {"{\"name\":\"v\",\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"a\",\"path\":\"../x\"}]}}", ERR_INVALID, NULL},
        {"{\"name\":\"../v\",\"emptyDir\":{}}", ERR_INVALID, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(disk_done) struct disk disk = {0};
        CLEANUP(xfree) char *spec = xasprintf("\"volumes\":[%s]", rows[i].volume);

        disk_make(&disk, spec);
        if (volumes_set_up(&disk.input, &disk.err) != rows[i].code)
            fail_msg("row %zu: %s", i, err_text(&disk.err));
        if (rows[i].text != NULL)
            assert_string_equal(err_text(&disk.err), rows[i].text);
    }
}

static void add_object(struct map *objects, const char *key, const char *text)
{
    CLEANUP(err_clear) struct err err = {0};
    struct json *object = NULL;

    assert_int_equal(json_parse(text, strlen(text), &object, &err), 0);
    json_free(map_set(objects, key, object));
}

/* A claim leads to its volume only when it is bound, and only NFS is mounted here. */
static void test_volumes__claims_of_nfs(void **state)
{
    CLEANUP(map_done) struct map objects = {0};
    CLEANUP(err_clear) struct err err = {0};
    CLEANUP(json_free) struct json *volume = NULL;
    static const char text[] = "{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"c\",\"readOnly\":true}}";
    struct volumes_nfs nfs;
    const char *key;
    void *object;

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &volume, &err), 0);
    assert_true(volumes_is_network(volume));
    add_object(&objects, "PersistentVolumeClaim/c", "{\"spec\":{\"volumeName\":\"p\"},\"status\":{\"phase\":\"Pending\"}}");
    assert_int_equal(volumes_nfs_of(volume, &objects, &nfs, &err), ERR_NOT_FOUND);
    assert_string_equal(err_text(&err), "persistentvolumeclaim \"c\" is not bound");
    err_clear(&err);
    add_object(&objects, "PersistentVolumeClaim/c", "{\"spec\":{\"volumeName\":\"p\"},\"status\":{\"phase\":\"Bound\"}}");
    assert_int_equal(volumes_nfs_of(volume, &objects, &nfs, &err), ERR_NOT_FOUND);
    err_clear(&err);
    add_object(&objects, "PersistentVolume/p", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"csi\":{}}}");
    assert_int_equal(volumes_nfs_of(volume, &objects, &nfs, &err), ERR_UNSUPPORTED);
    err_clear(&err);
    add_object(&objects, "PersistentVolume/p",
               "{\"spec\":{\"nfs\":{\"server\":\"s\",\"path\":\"/x\"},\"mountOptions\":[\"nfsvers=4.1\"]}}");
    assert_int_equal(volumes_nfs_of(volume, &objects, &nfs, &err), 0);
    assert_string_equal(nfs.server, "s");
    assert_string_equal(nfs.path, "/x");
    assert_true(nfs.readonly);
    assert_int_equal(json_len(nfs.options), 1);
    for (size_t i = 0; map_next(&objects, &i, &key, &object);)
        json_free(object);
}

#define MOUNTING(mount) "\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}},{\"name\":\"c\",\"configMap\":{\"name\":\"cm\"}}],\"containers\":[{\"name\":\"x\",\"volumeMounts\":[" mount "]}]"

static int make_mounts(struct disk *disk)
{
    CLEANUP(map_done) struct map images = {0};
    const struct volumes_places places = {
        .state_dir = disk->dir, .readonly_below = disk->readonly_below, .images = &images};

    (void)map_set(&images, "pulled", (char *)(uintptr_t) "sha256:1");
    return volumes_mounts_of(disk->pod, json_at(json_get(disk->pod, "spec", "containers", NULL), 0), &places,
                             &disk->environment, 3, &disk->mounts, &disk->err);
}

#define MOUNTING_IMAGE(mount) "\"volumes\":[{\"name\":\"pulled\",\"image\":{\"reference\":\"r\"}},{\"name\":\"absent\",\"image\":{\"reference\":\"r\"}}],\"containers\":[{\"name\":\"x\",\"volumeMounts\":[" mount "]}]"

static void test_volumes__image(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(disk_done) struct disk absent = {0};
    CLEANUP(disk_done) struct disk recursive = {0};

    (void)state;
    disk_make(&disk, MOUNTING_IMAGE("{\"name\":\"pulled\",\"mountPath\":\"/i\",\"subPath\":\"etc\"}"));
    set_up(&disk);
    assert_int_equal(make_mounts(&disk), 0);
    assert_string_equal(disk.mounts.items[0].image, "sha256:1");
    assert_string_equal(disk.mounts.items[0].image_sub_path, "etc");
    assert_true(disk.mounts.items[0].readonly);
    disk_make(&absent, MOUNTING_IMAGE("{\"name\":\"absent\",\"mountPath\":\"/i\"}"));
    assert_int_equal(make_mounts(&absent), ERR_NOT_FOUND);
    disk_make(&recursive, MOUNTING("{\"name\":\"e\",\"mountPath\":\"/e\",\"readOnly\":true,\"recursiveReadOnly\":\"Enabled\"}"));
    set_up(&recursive);
    assert_int_equal(make_mounts(&recursive), ERR_UNSUPPORTED);
    err_clear(&recursive.err);
    recursive.readonly_below = true; /* another runtime */
    assert_int_equal(make_mounts(&recursive), 0);
    assert_true(recursive.mounts.items[0].readonly && recursive.mounts.items[0].readonly_below);
}

static void test_volumes__mounts(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(xfree) char *host = NULL;
    struct stat info;

    (void)state;
    disk_make(&disk, MOUNTING("{\"name\":\"e\",\"mountPath\":\"/e\"},{\"name\":\"c\",\"mountPath\":\"/c\"},"
                              "{\"name\":\"e\",\"mountPath\":\"/ro\",\"readOnly\":true},"
                              "{\"name\":\"c\",\"mountPath\":\"/file\",\"subPath\":\"a\"},"
                              "{\"name\":\"e\",\"mountPath\":\"/deep\",\"subPath\":\"x/y\"}"));
    set_up(&disk);
    assert_int_equal(make_mounts(&disk), 0);
    assert_int_equal(disk.mounts.n, 7);
    host = disk_path(&disk, "volumes/e");
    assert_string_equal(disk.mounts.items[0].container_path, "/e");
    assert_string_equal(disk.mounts.items[0].host_path, host);
    assert_false(disk.mounts.items[0].readonly);
    assert_true(disk.mounts.items[1].readonly); /* the agent's files */
    assert_true(disk.mounts.items[2].readonly);
    ASSERT_TEXT(&disk, "volume-subpaths/c/x/3", "1", 0644);
    ASSERT_TEXT(&disk, "containers/x/3", "", 0666);
    assert_string_equal(disk.mounts.items[5].container_path, "/etc/hosts");
    assert_string_equal(disk.mounts.items[6].container_path, "/dev/termination-log");
    assert_int_equal(stat(disk.mounts.items[4].host_path, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(info.st_mode & 07777, 0777); /* as the volume itself */
    volumes_mounts_done(&disk.mounts);
    assert_int_equal(make_mounts(&disk), 0); /* a second attempt finds everything in place */
}

static void test_volumes__sub_path_cannot_leave(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(xfree) char *link = NULL;
    CLEANUP(xfree) char *relative = NULL;
    CLEANUP(xfree) char *hole = NULL;
    CLEANUP(xfree) char *secret = NULL;
    struct stat inside;

    (void)state;
    disk_make(&disk, MOUNTING("{\"name\":\"e\",\"mountPath\":\"/1\",\"subPath\":\"abs/etc\"},"
                              "{\"name\":\"e\",\"mountPath\":\"/2\",\"subPath\":\"up\"}"));
    set_up(&disk);
    link = disk_path(&disk, "volumes/e/abs");
    relative = disk_path(&disk, "volumes/e/up");
    assert_int_equal(symlink("/", link), 0);
    assert_int_equal(symlink("../../../../../../../../etc", relative), 0);
    assert_int_equal(make_mounts(&disk), 0);
    secret = path_join(disk.mounts.items[0].host_path, "passwd", NULL);
    assert_false(file_exists(secret));
    free(secret);
    secret = path_join(disk.mounts.items[1].host_path, "passwd", NULL);
    assert_false(file_exists(secret));
    hole = disk_path(&disk, "volumes/e/etc"); /* "/" was the volume's root */
    assert_int_equal(stat(hole, &inside), 0);
}

static void test_volumes__mount_errors(void **state)
{
    static const struct {
        const char *mount;
        int code;
    } rows[] = {
        {"{\"name\":\"no\",\"mountPath\":\"/x\"}", ERR_NOT_FOUND},
        {"{\"name\":\"e\",\"mountPath\":\"/x\",\"subPath\":\"a/../../b\"}", ERR_INVALID},
        {"{\"name\":\"e\",\"mountPath\":\"/x\",\"subPath\":\"/etc\"}", ERR_INVALID},
        {"{\"name\":\"e\",\"mountPath\":\"/x\",\"subPathExpr\":\"$(NO)\"}", ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        CLEANUP(disk_done) struct disk disk = {0};
        CLEANUP(xfree) char *spec = xasprintf(
            "\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"x\",\"volumeMounts\":[%s]}]",
            rows[i].mount);

        disk_make(&disk, spec);
        set_up(&disk);
        assert_int_equal(make_mounts(&disk), rows[i].code);
        assert_int_equal(disk.mounts.n, 0);
    }
}

static void test_volumes__tear_down(void **state)
{
    CLEANUP(disk_done) struct disk disk = {0};
    CLEANUP(xfree) char *dir = NULL;
    CLEANUP(err_clear) struct err err = {0};

    (void)state;
    disk_make(&disk, MOUNTING("{\"name\":\"e\",\"mountPath\":\"/1\",\"subPath\":\"s\"}"));
    set_up(&disk);
    assert_int_equal(make_mounts(&disk), 0);
    dir = disk_path(&disk, "");
    assert_true(file_exists(dir));
    assert_int_equal(volumes_tear_down(disk.dir, "u1", &err), 0);
    assert_false(file_exists(dir));
    assert_int_equal(volumes_tear_down(disk.dir, "u1", &err), 0);
    assert_int_equal(volumes_tear_down(disk.dir, "", &err), ERR_INVALID); /* not all pods' folders */
    err_clear(&err);
    assert_int_equal(volumes_tear_down(disk.dir, "..", &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes__needs),
        cmocka_unit_test(test_volumes__trust),
        cmocka_unit_test(test_volumes__config_map),
        cmocka_unit_test(test_volumes__secret_and_groups),
        cmocka_unit_test(test_volumes__projected),
        cmocka_unit_test(test_volumes__memory_medium),
        cmocka_unit_test(test_volumes__errors),
        cmocka_unit_test(test_volumes__claims_of_nfs),
        cmocka_unit_test(test_volumes__image),
        cmocka_unit_test(test_volumes__mounts),
        cmocka_unit_test(test_volumes__sub_path_cannot_leave),
        cmocka_unit_test(test_volumes__mount_errors),
        cmocka_unit_test(test_volumes__tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
