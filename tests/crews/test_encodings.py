"""Text that is neither UTF-8 nor marked is read by a guess, and whoever reads it is told so."""
# ruff: noqa: RUF001 -- letters of other alphabets are what this is about

import io

import pytest

from crews.import_mapping.profile import Profile, profile_csv


def profile(text: str, encoding: str = "utf-8") -> Profile:
    return profile_csv(io.BytesIO(text.encode(encoding)))


@pytest.mark.parametrize(
    ("header", "words", "encoding"),
    [
        ("姓名,城市,备注", "张伟 北京市 王芳 上海 李娜 广州 刘洋 深圳 陈静 重要客户 无", "gb18030"),
        ("姓名,城市,備註", "陳怡君 臺北市 林志明 高雄 黃淑芬 新竹 張家豪 重要客戶 無", "big5"),
        ("氏名,市区町村,備考", "佐藤 神戸市 鈴木 横浜市 高橋 札幌市 なし お得意様 です", "euc_jp"),
        ("이름,도시,비고", "김민수 서울 이영희 부산 박지훈 대구 중요 고객 없음", "cp949"),
        ("jméno,číslo,město", "Jiří Plzeň Tomáš Ústí Lukáš Děčín Zdeněk Nádražní Školní", "cp1250"),
        ("Имя,Город,Улица", "Иван Москва Анна Омск Сергей Казань Ленина Советская", "cp1251"),
        ("Όνομα,Πόλη,Οδός", "Γιώργος Αθήνα Ελένη Πάτρα Μαρία Θεσσαλονίκη Ερμού", "cp1253"),
        ("Ad,Şehir,İlçe", "Ayşe İstanbul Çağlar Eskişehir Gülşen İzmir Beşiktaş Kadıköy", "cp1254"),
        ("año,nombre,dirección", "Íñigo Begoña José Calle Muñoz Logroño", "cp1252"),
        ("street,city,x", "Main Montréal Elm Albany High Oslo", "cp1252"),
    ],
)
def test_other_encodings_are_guessed_and_the_guess_is_told(header: str, words: str, encoding: str):
    text = table_of(header, words)
    found = profile(text, encoding)
    assert [(c.name, c.samples) for c in found.columns] == [
        (c.name, c.samples) for c in profile(text).columns
    ]
    note = f"read as {found.encoding}, a guess; if text looks wrong, save the file as UTF-8"
    assert found.notes == [note]


def table_of(header: str, words: str) -> str:
    """A table of three columns and some rows, its cells being words as they come."""
    cells = words.split() * 3
    rows = [",".join(cells[n : n + 3]) for n in range(0, len(cells), 3)]
    return "\n".join([header, *rows, ""])
