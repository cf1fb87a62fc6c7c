/* In place of mypyc's imports of `librt.vecs` and `librt.time`; build_backend/librt_parts.py puts it there. */

#include <time.h>

#include <time/librt_time_api.h>
#include <vecs/librt_vecs_api.h>

VecI64API VecI64Api;
VecFloatAPI VecFloatApi;

PyTypeObject VecType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "vec",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
};

PyObject *Vec_GenericRepr(PyObject *vec, size_t Py_UNUSED(item_type), size_t Py_UNUSED(depth), int Py_UNUSED(verbose))
{
    PyObject *items = PySequence_List(vec);
    PyObject *text = items == NULL ? NULL : PyObject_Repr(items);
    Py_XDECREF(items);
    return text;
}

int import_librt_vecs(void)
{
    PyTypeObject *types[] = {
        &VecType, &VecI64Type, &VecI64BufType, &VecI64IterType, &VecFloatType, &VecFloatBufType, &VecFloatIterType,
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (PyType_Ready(types[i]) < 0)
            return -1;
    VecI64Api = Vec_I64API;
    VecFloatApi = Vec_FloatAPI;
    return 0;
}

/* mypyc calls the third function of this table, and pytheus never the others. */
void *LibRTTime_API[LIBRT_TIME_API_LEN];

static double seconds_since_epoch(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int import_librt_time(void)
{
    LibRTTime_API[2] = (void *)seconds_since_epoch;
    return 0;
}
